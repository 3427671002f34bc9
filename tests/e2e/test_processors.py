"""The same numbers with every OpenBLAS kernel that the processor has, and with any number of threads."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from registry.settings import ROOT
from tests.tolerances import BETWEEN_KERNELS, DISTANCES_BETWEEN_KERNELS

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

# Haswell and Zen are one code under two names; Nehalem's, which each x86-64 processor of today runs, is another, so
# that kernels differ on every machine that this runs on.
KERNELS = {
    "Nehalem": {"sse4_2"},
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512dq", "avx512bw", "avx512vl"},
}
THREADS = (1, 2, 8)
# All pairs of a kernel and a number of threads are tried on the numbers themselves. The pieces of the suite, which take
# minutes each, are run with every kernel and with every number of threads, not with every pair of them.
OF_THE_SUITE = ((None, 8), ("Nehalem", 1), ("Haswell", 2), ("Zen", 8), ("SkylakeX", 2))
# The tests that numbers decide.
OF_NUMBERS = {
    "features and learning": ("tests/features", "tests/ray_jobs/learning"),
    "models": ("tests/behaviour", "tests/registry"),
    "jobs": (
        "tests/ray_jobs/feature_table",
        "tests/ray_jobs/test_drift.py",
        "tests/ray_jobs/test_predict.py",
        "tests/ray_jobs/test_sweep.py",
        "tests/ray_jobs/tracking",
    ),
    "serving": ("tests/serve/http/test_api.py", "tests/serve/inference", "tests/serve/production/test_watcher.py"),
    "notebook": ("tests/e2e/test_notebook.py",),
}


def environment(kernel: str | None, threads: int) -> dict[str, str]:
    """That of this process, with a kernel (None: OpenBLAS chooses) and a number of threads."""
    if kernel:
        cpuinfo = Path("/proc/cpuinfo")
        flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
        if not KERNELS[kernel] <= flags:
            pytest.skip(reason=f"this processor lacks {', '.join(sorted(KERNELS[kernel] - flags))} of {kernel}")
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    return {
        **kept,
        **({"OPENBLAS_CORETYPE": kernel} if kernel else {}),
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }


def run(*arguments: str, env: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@dataclass(frozen=True)
class Computed:
    """What `tests.numbers` left in its folder."""

    folder: Path

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "numbers.npz") as file:
            return dict(file)

    @property
    def digests(self) -> dict[str, str]:
        return json.loads((self.folder / "digests.json").read_text())


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """What is computed under a setting, once; all but the first are given the features and models of the first."""
    folder = tmp_path_factory.mktemp("numbers")

    def of(kernel: str | None, threads: int) -> Computed:
        env = environment(kernel, threads)
        out, first = folder / f"{kernel}-{threads}", folder / "None-1"
        if not out.exists():
            run("-m", "tests.numbers", str(out), *([] if out == first else [str(of(None, 1).folder)]), env=env)
        return Computed(out)

    return of


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kernel", [None, *KERNELS])
def test_trials_fits_answers_and_digests_are_the_same(computed, kernel, threads):
    found, one, native = computed(kernel, threads), computed(kernel, 1), computed(None, 1)
    assert found.digests == native.digests
    assert any(name.startswith("features/") for name in found.digests)
    for name, value in found.numbers.items():
        np.testing.assert_array_equal(value, one.numbers[name], err_msg=f"{name} with {threads} threads")
        tolerance = DISTANCES_BETWEEN_KERNELS if name.startswith("detector.") else BETWEEN_KERNELS
        np.testing.assert_allclose(value, native.numbers[name], rtol=0, atol=tolerance, err_msg=f"{name} with {kernel}")


@pytest.mark.parametrize("piece", OF_NUMBERS)
@pytest.mark.parametrize(("kernel", "threads"), OF_THE_SUITE)
def test_the_tests_of_numbers_pass(kernel, threads, piece):
    run("-m", "pytest", "-q", "-x", "-m", "not long", *OF_NUMBERS[piece], env=environment(kernel, threads))
