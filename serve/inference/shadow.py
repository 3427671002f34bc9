"""The shadow: copies of pictures that a candidate is asked about unseen, in moments in which nothing else is asked.

No visible answer waits for a copy: requests only put it into a bounded queue, one thread of the lowest priority
takes it out, and only while no prediction is in work. What finds the queue full is dropped and counted.
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections import deque
from dataclasses import dataclass

from registry.production.rollout_counts import Arm, Pairs, one_picture
from serve.http.uploads import Picture
from serve.inference.predictor import PictureResult, answer_one
from serve.load import Load
from serve.metrics import Metrics
from serve.production.model import ServedCandidate

log = logging.getLogger(__name__)

_MOST = 64
_MOST_BYTES = 64 * 2**20
_IDLE_LOOK_S = 0.005
_LOWEST_PRIORITY = 19


@dataclass(frozen=True, kw_only=True)
class _Copy:
    candidate: ServedCandidate
    picture: Picture
    visible: PictureResult


class Shadow:
    """The queue of one replica, and the thread that works it off once `start` was called."""

    def __init__(self, load: Load, metrics: Metrics, *, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._load = load
        self._metrics = metrics
        self._most, self._most_bytes = most, most_bytes
        self._queue: deque[_Copy] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask candidates."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; what waits is dropped."""
        self._stopped.set()
        self._some.set()
        if self._thread:
            self._thread.join(timeout=10)

    def offer(self, candidate: ServedCandidate, picture: Picture, visible: PictureResult) -> None:
        """Take a copy if there is room for it; it never waits and never fails."""
        size = len(picture.data)
        with self._lock:
            fits = len(self._queue) < self._most and self._bytes + size <= self._most_bytes
            if fits:
                self._queue.append(_Copy(candidate=candidate, picture=picture, visible=visible))
                self._bytes += size
        if fits:
            self._some.set()
        else:
            candidate.drop()
            self._metrics.rollout.labels("candidate", "dropped").inc()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # on Linux the priority is the thread's own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        while not self._stopped.is_set():
            if not self._queue:
                self._some.clear()
                if not self._queue:
                    self._some.wait()
                continue
            if self._load.pictures_in_work.value:
                time.sleep(_IDLE_LOOK_S)
                continue
            with self._lock:
                copy = self._queue.popleft()
                self._bytes -= len(copy.picture.data)
            try:
                self._ask(copy)
            except Exception:  # the thread must survive any error
                log.exception("A copy of a picture could not be compared.")

    def _ask(self, copy: _Copy) -> None:
        candidate, visible = copy.candidate, copy.visible
        if candidate.served is None:
            return
        unseen = answer_one(candidate.served, copy.picture, "shadow", abstains=False)
        candidate.compare(counted(visible), counted(unseen), pair(visible, unseen))
        self._metrics.rollout.labels("production", visible.outcome).inc()
        self._metrics.rollout.labels("candidate", unseen.outcome).inc()


def counted(result: PictureResult) -> Arm:
    """What became of a picture; one that no model could decode says nothing of a model."""
    if result.outcome == "unreadable":
        return Arm()
    return one_picture(
        label=result.outcome if result.probability is not None else "",
        refused=result.outcome == "refused",
        error=result.outcome == "error",
        seconds=result.seconds,
    )


def pair(production: PictureResult, candidate: PictureResult) -> Pairs:
    """How two answers for one picture differ; nothing where one of the two has none."""
    if production.probability is None or candidate.probability is None:
        return Pairs()
    difference = candidate.probability - production.probability
    return Pairs(
        compared=1,
        same=int(production.outcome == candidate.outcome),
        difference=difference,
        distance=math.fabs(difference),
    )
