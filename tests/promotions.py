"""Promotions one after another, beside whatever happens to the registry meanwhile, and the check of its record."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mlflow.exceptions import MlflowException

from registry.model.versions import ModelVersion
from registry.process.reach import UnreachableError
from registry.production.current import production
from registry.production.history import Change
from registry.production.promotion import history, promote
from registry.settings import Settings


@dataclass
class Promotions:
    """What the registry acknowledged, in turn, and how many attempts it gave no answer to."""

    acknowledged: list[Change] = field(default_factory=list)
    unanswered: int = 0

    def lost(self, settings: Settings) -> list[Change]:
        """What was acknowledged and is not on record any more."""
        recorded = history(settings)
        return [change for change in self.acknowledged if change not in recorded]

    def explain(self, settings: Settings) -> bool:
        """Whether what is in Production follows from them: the last one, or one that was tried later, unanswered."""
        serves, last = production(settings), self.acknowledged[-1]
        later = [change.to_version for change in history(settings) if change.number > last.number]
        return serves is not None and serves.version in (last.to_version, *later)


@contextmanager
def promoting(settings: Settings, versions: Sequence[ModelVersion], *, pause_s: float = 0.0) -> Iterator[Promotions]:
    """Put the versions into Production in turn, each after a pause, for as long as the block runs."""
    seen, stop = Promotions(), threading.Event()

    def work() -> None:
        turn = itertools.cycle(versions)
        target = next(turn)
        while not stop.is_set():
            try:
                change = promote(settings, target, why="beside a kill")
            except (MlflowException, UnreachableError, OSError):
                seen.unanswered += 1
                stop.wait(0.5)  # the registry or the store is away: no need to ask it hundreds of times a second
                continue
            if change:  # None where an attempt without an answer had been made all the same
                seen.acknowledged.append(change)
            target = next(turn)
            stop.wait(pause_s)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
