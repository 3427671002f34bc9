"""The project of today beside the project at an earlier commit, by the same Python: features, a job's start, the page.

Both sides are measured in turn.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.processes import NotStartedError, begin, free_ports, stop, wait_for
from benchmarks.report import last_line
from benchmarks.results import Measured, Series
from registry.settings import ROOT, Settings

# The last commit before the work on speed began. What is asked of features is asked in comparison with it.
BASE = "a320cb8"
FEATURES_ROUNDS, START_ROUNDS, PAGE_ROUNDS = 15, 5, 2
PAGE_WITHIN_S = 900.0
Sides = dict[str, Path]  # where the code of each side is


@dataclass(frozen=True, kw_only=True)
class _Describer:
    process: subprocess.Popen
    code_version: float

    def milliseconds(self) -> float:
        """Of one core, a picture, in another turn over all of them."""
        assert self.process.stdin
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        return _number(self.process)


def features(sides: Sides, pictures: list[bytes], scratch: Path, rounds: int | None = None) -> Measured:
    """Milliseconds of one core from bytes to features, and how far the numbers of both sides are apart at most."""
    folder = scratch / "described"
    folder.mkdir()
    for number, picture in enumerate(pictures):
        (folder / f"{number:04d}").write_bytes(picture)
    files = {name: scratch / f"{name}.npy" for name in sides}
    with ExitStack() as stack:
        describers = {name: stack.enter_context(_describer(sides[name], folder, files[name])) for name in sides}
        taken: Series = {name: [] for name in sides}
        for _ in range(rounds or FEATURES_ROUNDS):
            for name, describer in describers.items():
                taken[name].append(describer.milliseconds())
        series = {"features": taken}
        series["code_version"] = {name: [describer.code_version] for name, describer in describers.items()}
    if len(sides) == 1:
        return Measured(series=series, missing={"difference": "there is no earlier commit in this run"})
    now, before = (np.load(file) for file in files.values())
    if now.shape != before.shape:
        return Measured(series=series, missing={"difference": f"{now.shape[1]} features instead of {before.shape[1]}"})
    return Measured(series=series | {"difference": {"now": [float(np.abs(now - before).max())]}})


def start(sides: Sides, rounds: int | None = None) -> Measured:
    """Seconds that a process takes which imports what a training imports, and ends."""

    def imported(name: str, _: int) -> float:
        begun = time.perf_counter()
        command = [sys.executable, "-c", "import ray_jobs.train"]
        done = subprocess.run(command, cwd=sides[name], env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotStartedError(last_line(done.stderr) or "it says nothing")
        return time.perf_counter() - begun

    taken, lost = _in_turn(sides, (rounds or START_ROUNDS) + 1, imported)
    compiled = {name: each[1:] for name, each in taken.items()}  # the first one compiles what is imported
    return Measured(series={"start": compiled}, missing=lost)


def page(sides: Sides, scratch: Path, rounds: int | None = None) -> Measured:
    """Seconds from the commands of `make run`, with its own dataset and no state, until the page answers."""
    ports = free_ports()

    def answered(name: str, number: int) -> float:
        state = scratch / f"page-{name}-{number}"
        state.mkdir()
        seconds = _until_the_page(sides[name], state, next(ports))
        print(f"  {name}: {seconds:.1f} s", flush=True)
        return seconds

    taken, lost = _in_turn(sides, rounds or PAGE_ROUNDS, answered)
    return Measured(series={"page": taken}, missing=lost)


def _in_turn(sides: Sides, rounds: int, seconds: Callable[[str, int], float]) -> tuple[Series, dict[str, str]]:
    """What each side takes in each round. An earlier commit that does not run by today's packages is left out."""
    taken, lost = {name: list[float]() for name in sides}, dict[str, str]()
    for number in range(rounds):
        for name in [*taken]:
            try:
                taken[name].append(seconds(name, number))
            except NotStartedError as error:
                if name == "now":
                    raise
                del taken[name]
                lost[name] = f"that commit does not run: {error}"
    return taken, lost


def _until_the_page(folder: Path, state: Path, port: int) -> float:
    python = shlex.quote(sys.executable)
    # A commit of before `--train` has 1,200 generated X-rays for its dataset, and one step after the other.
    beside = "--train" in (folder / "Makefile").read_text()
    steps = f"exec {python} -m serve --train" if beside else f"{python} -m ray_jobs.train && exec {python} -m serve"
    variables = {
        "DATA_URI": str(Settings.model_fields["data_uri"].default) if beside else "synthetic:1200",
        "STATE_URI": str(state / "state"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{state / 'mlflow.db'}",
        "HTTP_PORT": str(port),
        "MLFLOW_PORT": str(port + 1),
        "RAY_ADDRESS": "",  # those of a `.env` are for other runs
        "WEBAPP_URI": "",
    }
    begun, log = time.perf_counter(), state / "log"
    process = begin(["bash", "-c", steps], folder, _environment() | variables, log)
    try:
        wait_for(process, port, "/readyz", log, seconds=PAGE_WITHIN_S)
        wait_for(process, port, "/", log, seconds=PAGE_WITHIN_S)
        return time.perf_counter() - begun
    finally:
        stop(process)


@contextmanager
def _describer(side: Path, pictures: Path, file: Path) -> Iterator[_Describer]:
    command = [sys.executable, "-P", str(ROOT / "benchmarks" / "describing.py"), str(pictures), str(file)]
    environment = _environment() | {"PYTHONPATH": str(side), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=side, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield _Describer(process=process, code_version=_number(process))


def _number(process: subprocess.Popen) -> float:
    """The next number that a process says; what goes wrong there stands on its standard error."""
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the process that describes pictures ended")
    return float(line)


def _environment() -> dict[str, str]:
    """That of this process, but each side finds its own code, and keeps what it has compiled."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
