"""Lines that no logger writes, such as those of a library in C or of an interpreter that fails, as lines of JSON."""

import logging
from collections.abc import Iterable
from typing import BinaryIO

from registry.log_lines import JsonLines

_OURS = b'{"time": '
_LINES = JsonLines()


def pass_on(source: Iterable[bytes], target: BinaryIO) -> None:
    """Write every line of JSON as it is, and every other one as the message of one; empty lines are left out."""
    for line in source:
        if line.startswith(_OURS):
            target.write(line)
        elif text := line.decode("utf-8", "replace").strip():
            record = logging.LogRecord("stderr", logging.WARNING, __file__, 0, "%s", (text,), None)
            target.write(_LINES.format(record).encode() + b"\n")
        target.flush()
