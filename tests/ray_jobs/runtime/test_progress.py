"""What a person sees of progress, on a terminal and in a log."""

import io
import sys

import pytest

from ray_jobs.runtime import progress
from ray_jobs.runtime.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def test_a_log_gets_a_line_now_and_then_and_the_last_word(now, capsys):
    with Progress("features", unit="image", total=5_216) as bar:
        for second in range(40):
            now[0] = second
            bar.update(100, note="best 0.9")
    assert capsys.readouterr().err.splitlines() == [
        "features: 1,600 of 5,216 images, best 0.9",
        "features: 3,100 of 5,216 images, best 0.9",
        "features: 4,000 of 5,216 images, best 0.9",
    ]


def test_what_is_quickly_done_or_has_nothing_to_do_says_nothing(now, capsys):
    with Progress("reading", unit="file") as bar:
        bar.reach(3, total=3)
    with Progress("reading", unit="file"):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_once_something_is_done(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("reading", unit="file") as bar:
        assert sys.stderr.getvalue() == ""
        bar.reach(3, total=6)
    assert "reading:  50%" in sys.stderr.getvalue()
    assert "3/6" in sys.stderr.getvalue()
    assert "0image" not in sys.stderr.getvalue()
