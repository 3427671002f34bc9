"""How a job tells the person who watches what it has done: bars on a terminal, now and then a line elsewhere."""

import logging
import sys
import time
from typing import Any

from tqdm import tqdm

from registry.process.log_lines import is_json
from registry.process.traces import span

log = logging.getLogger("ray_jobs")

_EVERY_S = 15.0


def write_line(text: str) -> None:
    """Write a line to standard error, where bars and logs go too, so that all of them come in their order."""
    if is_json():
        log.info("%s", text)
    else:
        tqdm.write(text, file=sys.stderr)


class Progress:
    """How far a piece of work is, in a `with` block; nothing is shown before the first step of it is done.

    In a trace the block is a span.

    A bar redraws itself, which in a log file or the log of a cluster's job would be one endless line. There a line
    comes every quarter of a minute, and one at the end of work that took so long.
    """

    def __init__(self, what: str, *, unit: str, total: int = 0, done: int = 0) -> None:
        self._what, self._unit, self._total, self._done, self._note = what, unit, total, done, ""
        self._bar: Any = None
        self._told = time.monotonic()
        self._lines = 0
        self._span = span(what)

    def __enter__(self) -> "Progress":
        self._span.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._span.__exit__(*raised)
        if self._bar is not None:
            self._bar.close()
        elif self._lines:
            self._tell()

    def reach(self, done: int, *, total: int | None = None, note: str = "") -> None:
        """So many are done, of so many; `note` is shown behind."""
        self._done, self._note = done, note
        self._total = self._total if total is None else total
        if sys.stderr.isatty() and not is_json():
            self._draw()
        elif time.monotonic() - self._told >= _EVERY_S:
            self._tell()

    def update(self, more: int = 1, *, note: str = "") -> None:
        """So many more are done."""
        self.reach(self._done + more, note=note)

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = tqdm(total=self._total, desc=self._what, unit=f" {self._unit}s", mininterval=1)
        self._bar.total = self._total
        self._bar.set_postfix_str(self._note, refresh=False)
        self._bar.update(self._done - self._bar.n)

    def _tell(self) -> None:
        self._told, self._lines = time.monotonic(), self._lines + 1
        note = f", {self._note}" if self._note else ""
        write_line(f"{self._what}: {self._done:,} of {self._total:,} {self._unit}s{note}")
