"""Writes what was predicted to STATE_URI, beside the requests: they only put a record into a bounded queue."""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime

from registry.records.prediction_ids import parse_id
from registry.records.predictions import (
    FILE_SPAN,
    Bounds,
    PredictionSummary,
    Record,
    find,
    ids_in,
    path_of,
    prune,
    write,
)
from registry.state import State
from serve.metrics import Metrics

log = logging.getLogger(__name__)

_ROWS = 512
_FLUSH_S = 5.0
_TURNS = 2  # within so many of its turns, a replica whose store is quick has written a record
_LONGEST_PAUSE_S = 60.0
_PRUNE_S = 3600.0
_STOP_S = 20.0
_RECENT = 5_000
_DUTY = 20  # writing takes at most one part in this many of the time, so that a slow store is written less often


class PredictionRecorder:
    """The writer of one replica.

    Its newest records are in one file, which is written again every few seconds until it is full or an hour old: every
    replica finds a prediction within seconds, and the files stay few. Each turn writes only what had arrived when it
    began, however much arrives meanwhile, and then rests: on S3 every write costs money. What finds the queue full,
    because the store is away or too slow, is lost and counted: no request waits for the store.
    """

    def __init__(
        self,
        open_state: Callable[[], State],
        metrics: Metrics,
        *,
        bounds: Bounds | None = None,
        waiting: int = 1_000,
        flush_s: float = _FLUSH_S,
    ) -> None:
        self._open_state = open_state
        self._metrics = metrics
        self._bounds = bounds or Bounds()
        self._flush_s = flush_s
        self._most_waiting = waiting
        self._queue: deque[Record] = deque()  # no lock: requests never wait for the writer to let go of one
        self._recent: OrderedDict[str, PredictionSummary] = OrderedDict()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._state: State | None = None
        self._file: list[Record] = []
        self._written = 0
        self._path = ""  # it stays when the record that it is named after is forgotten
        self._size: int | None = None
        self._broken = False

    def start(self) -> None:
        """Begin to write."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is there, then end."""
        self._stopped.set()
        if self._thread:
            self._thread.join(timeout=_STOP_S)

    def offer(self, record: Record) -> None:
        """Take a record if there is room for it."""
        if len(self._queue) >= self._most_waiting:
            self._metrics.records.labels("lost").inc()
            return
        self._queue.append(record)
        self._recent[record.id] = PredictionSummary(
            id=record.id,
            time=record.time,
            version=record.version,
            probability=record.probability,
            label=record.label,
            sha256=record.sha256,
            digest=record.digest,
        )
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def find(self, prediction_id: str) -> PredictionSummary | None:
        """What was said under an id, by this replica a moment ago or by any other; raises OSError without the store."""
        return self._recent.get(prediction_id) or find(self.state(), prediction_id)

    def may_appear(self, prediction_id: str) -> bool:
        """Whether an id is so new that another replica may not have written its record yet."""
        parsed = parse_id(prediction_id)
        if parsed is None:
            return False
        return abs((datetime.now(UTC) - parsed.time).total_seconds()) < _TURNS * self._flush_s

    def state(self) -> State:
        """The store; raises OSError or SettingsError where it cannot be opened."""
        if self._state is None:
            self._state = self._open_state()
        return self._state

    def _run(self) -> None:
        pause, pruned = self._flush_s, -_PRUNE_S
        while not self._stopped.wait(pause):
            pause = self._try(self._flush)
            if time.monotonic() - pruned > _PRUNE_S:
                self._try(self._prune)
                pruned = time.monotonic()
        self._try(self._flush)
        self._metrics.records.labels("lost").inc(len(self._queue) + len(self._file) - self._written)

    def _try(self, step: Callable[[], None]) -> float:
        """Do a step; return how long to wait for the next, which the store's speed decides."""
        begun = time.monotonic()
        try:
            step()
        # A store can fail in any way, and the thread has to outlive it; the log tells once, and again when it is over.
        except Exception as error:
            if not self._broken:
                log.warning("Predictions cannot be recorded (%s). Each turn tries again.", type(error).__name__)
                log.debug("What the store reported.", exc_info=True)
            self._broken = True
        else:
            if self._broken:
                log.warning("Predictions are recorded again.")
            self._broken = False
        return min(max(self._flush_s, _DUTY * (time.monotonic() - begun)), _LONGEST_PAUSE_S)

    def _flush(self) -> None:
        """Write what is in the queue at this moment; what arrives meanwhile is for the next turn."""
        left = len(self._queue)
        while True:
            left -= self._fill(left)
            if len(self._file) > self._written:
                first = self._file[0]
                path = self._path = self._path or path_of(self.state(), first.time, first.id)
                self._drop_forgotten(path)
                write(self.state(), path, self._file)
                self._metrics.records.labels("written").inc(len(self._file) - self._written)
                self._written = len(self._file)
                self._size = self.state().filesystem.get_file_info(path).size
            if not left:
                return

    def _drop_forgotten(self, path: str) -> None:
        """Drop records that are no longer in the file as it was written: somebody had them forgotten."""
        if not self._written or self.state().filesystem.get_file_info(path).size == self._size:
            return
        left = ids_in(self.state(), path)
        for record in self._file[: self._written]:
            if record.id not in left:
                self._recent.pop(record.id, None)
        kept = [record for record in self._file[: self._written] if record.id in left]
        self._file, self._written = kept + self._file[self._written :], len(kept)

    def _fill(self, most: int) -> int:
        """Move records from the queue to the file, and return how many.

        A new file is begun where the old one is full, spans an hour or is of another spec, once the old one is written.
        """
        for moved in range(most):
            record = self._queue[0]
            if self._file and not self._fits(record):
                if self._written < len(self._file):
                    return moved
                self._file, self._written, self._path = [], 0, ""
            self._file.append(self._queue.popleft())
        return most

    def _fits(self, record: Record) -> bool:
        first = self._file[0]
        return len(self._file) < _ROWS and record.spec == first.spec and record.time - first.time <= FILE_SPAN

    def _prune(self) -> None:
        removed = prune(self.state(), self._bounds)
        if removed:
            log.info("Removed %d files of old prediction records.", removed)
