"""Lines that no logger writes, such as those of a library in C or of an interpreter that fails, as lines of JSON."""

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from registry.process.log_lines import JsonLines

_OURS = b'{"time": '
_LINES = JsonLines()
_LAST_LINES_S = 5.0
_STDERR = 2


def pass_on(source: Iterable[bytes], target: BinaryIO) -> None:
    """Write every line of JSON as it is, and every other one as the message of one; empty lines are left out."""
    for line in source:
        if line.startswith(_OURS):
            target.write(line)
        elif text := line.decode("utf-8", "replace").strip():
            record = logging.LogRecord("stderr", logging.WARNING, __file__, 0, "%s", (text,), None)
            target.write(_LINES.format(record).encode() + b"\n")
        target.flush()


def take_standard_error() -> Callable[[], None]:
    """Let a process of its own pass on what this one writes to standard error from now on, however this one ends.

    A thread would lose the last lines, of an interpreter that fails or a process that is killed, which are the ones
    that say why. Call what is returned before the end: it waits until the last lines are passed on, which would be
    lost where this is a container's first process.
    """
    source, target = os.pipe()
    reader = subprocess.Popen(
        [sys.executable, "-m", "registry.process.raw_lines"],
        cwd=Path(__file__).resolve().parents[2],
        stdin=source,
        stdout=_STDERR,
        start_new_session=True,  # a terminal's Ctrl-C is for the one that writes
    )
    before = os.dup(_STDERR)
    os.dup2(target, _STDERR)
    os.close(source)
    os.close(target)
    return partial(_give_back, before, reader)


def _give_back(before: int, reader: subprocess.Popen[bytes]) -> None:
    sys.stderr.flush()
    os.dup2(before, _STDERR)
    with contextlib.suppress(subprocess.TimeoutExpired):  # another process may have kept the end that is written to
        reader.wait(_LAST_LINES_S)


if __name__ == "__main__":
    pass_on(sys.stdin.buffer, sys.stdout.buffer)
