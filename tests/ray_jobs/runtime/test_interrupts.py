"""A Ctrl-C is never lost, wherever in the main thread it arrives."""

import os
import signal
import sys
import time

import pytest

from ray_jobs.runtime.cli import interruptible


class Interrupting:
    """Where it is given up, Python can only report what is raised."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        _some_time()


def _some_time() -> None:
    for _ in range(100_000):
        pass


def _interrupted() -> None:
    with interruptible():
        Interrupting()
        time.sleep(10)


def test_a_ctrl_c_that_python_can_only_report_interrupts_all_the_same() -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted()


def test_other_exceptions_are_reported_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ValueError("only reported")

    reported = list[str]()
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(str(lost.exc_value)))
    with interruptible():
        Failing()
    assert reported == ["only reported"]
