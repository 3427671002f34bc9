"""The same numbers with every OpenBLAS kernel that the processor has, and with any number of threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from registry.settings import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

# Fitted in float64, kernels differ by 1e-12 at most (ADR 11); nothing is decided by less than 1e-9.
BETWEEN_KERNELS = 1e-9
# In float32 as the features are; only the limits of what is refused follow from these, to two decimals.
OF_DISTANCES = 1e-5
KERNELS = {
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512dq", "avx512bw", "avx512vl"},
}
THREADS = (1, 2, 8)
OF_NUMBERS = (
    "tests/features",
    "tests/behaviour",
    "tests/ray_jobs/feature_table",
    "tests/ray_jobs/learning",
    "tests/ray_jobs/test_sweep.py",
    "tests/registry",
)


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


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """What `tests.numbers` computes under a setting, once."""
    folder = tmp_path_factory.mktemp("numbers")

    def of(kernel: str | None, threads: int) -> dict[str, np.ndarray]:
        env = environment(kernel, threads)
        out = folder / f"{kernel}-{threads}.npz"
        if not out.exists():
            run("-m", "tests.numbers", str(out), env=env)
        with np.load(out) as file:
            return dict(file)

    return of


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kernel", [None, *KERNELS])
def test_trials_fits_and_answers_are_the_same(numbers, kernel, threads):
    found, one, native = numbers(kernel, threads), numbers(kernel, 1), numbers(None, 1)
    for name, value in found.items():
        np.testing.assert_array_equal(value, one[name], err_msg=f"{name} with {threads} threads")
        tolerance = OF_DISTANCES if name.startswith("detector.") else BETWEEN_KERNELS
        np.testing.assert_allclose(value, native[name], rtol=0, atol=tolerance, err_msg=f"{name} with {kernel}")


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kernel", [None, *KERNELS])
def test_the_tests_of_numbers_pass(kernel, threads):
    run("-m", "pytest", "-q", "-x", "-m", "not long", *OF_NUMBERS, env=environment(kernel, threads))
