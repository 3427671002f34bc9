"""A Ray that does not start: what its first try left is ended, and it is tried once more."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry.process.private_ray import RayStartError, start_private

# A process that has one below it, as Ray's raylet has; it says so, and heeds no SIGTERM.
_STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(below.pid, flush=True)
below.wait()
signal.pause()
"""


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_second_try_begins_when_what_the_first_one_started_has_ended_and_nothing_else_has():
    mine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pids, told, forgotten = list[int](), list[str](), list[bool]()

    def init() -> None:
        if pids:
            assert not any(map(is_running, pids))
            return
        process = subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        pids.extend((process.pid, int(process.stdout.readline())))
        raise Exception("The current node timed out during startup. This could happen because")

    try:
        start_private(init, forget=lambda: forgotten.append(True), tell=told.append)
        assert told == ["Ray did not start: The current node timed out during startup. Trying once more."]
        assert (len(pids), forgotten) == (2, [True])
        assert mine.poll() is None
    finally:
        mine.kill()
        mine.wait()


_LATER = """
import subprocess, sys
sys.stdin.readline()
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(below.pid, flush=True)
below.wait()
"""


def test_what_an_older_process_starts_meanwhile_goes_on():
    """MLflow's server starts another process of its own while Ray starts beside it."""
    older = subprocess.Popen([sys.executable, "-c", _LATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert older.stdin
    assert older.stdout
    pids = list[int]()

    def init() -> None:
        if not pids:
            older.stdin.write("\n")  # type: ignore[union-attr]
            older.stdin.flush()  # type: ignore[union-attr]
            pids.append(int(older.stdout.readline()))  # type: ignore[union-attr]
            raise Exception("The current node timed out during startup.")

    try:
        start_private(init, forget=lambda: None, tell=lambda _: None)
        assert is_running(pids[0])
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        older.kill()
        older.wait()


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (RuntimeError("Failed to start the raylet"), 2),
        (ConnectionError("lost"), 2),
        (PermissionError(13, "Permission denied", "/tmp/ray"), 1),
        (ValueError("no such option"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_pass_is_tried_twice_and_what_stays_is_tried_once(error, tries):
    tried = list[int]()

    def init() -> None:
        tried.append(1)
        raise error

    with pytest.raises(RayStartError, match="Ray did not start on this machine: ") as raised:
        start_private(init, forget=lambda: None, tell=lambda _: None)
    assert len(tried) == tries
    assert ("A second try failed as well." in str(raised.value)) == (tries == 2)
    assert "\n" not in str(raised.value)
