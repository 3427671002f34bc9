"""The model that answers now, a candidate beside it, the last failure, and the one place where all are kept."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from features.reading.errors import ImageError
from registry.model.bundle import Bundle
from registry.model.versions import ModelVersion
from registry.process.traces import span
from registry.production.history import Change
from registry.production.rollout import is_over, takes
from registry.production.rollout_counts import Arm, Pairs, RolloutCounts

FailureCode = Literal[
    "registry-unreachable",
    "no-production-version",
    "refused",
    "not-fetched",
    "alias-moved",
    "history-damaged",
    "history-newer",
]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A verified, warmed-up model; `source` says whether the registry or the copy on disk gave it."""

    version: ModelVersion
    bundle: Bundle
    since: datetime
    source: Literal["registry", "disk"]


@dataclass(frozen=True, kw_only=True)
class SwapFailure:
    """Why Production is not what is served, or is not to be trusted; `version` is None where it could not be learnt."""

    code: FailureCode
    version: int | None
    detail: str
    remedy: str
    since: datetime


class Counter:
    """What this replica has counted of a rollout; used from requests and from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = RolloutCounts()

    @property
    def counts(self) -> RolloutCounts:
        """All of it."""
        return self._counts

    def add(self, more: RolloutCounts) -> None:
        """Count more."""
        with self._lock:
            self._counts += more

    def stop(self, why: str) -> None:
        """Say why nothing more is asked of the candidate; the first reason stays."""
        self.add(RolloutCounts(stopped=why))


@dataclass(frozen=True, kw_only=True)
class ServedCandidate:
    """One rollout as a replica sees it.

    `served` is None until the candidate's model is there, and `trouble` then says why it is not. `others` is what all
    other processes have counted, of which the newest was read some seconds ago. `stands` is whether the record is still
    the one that runs, as far as this replica has looked.
    """

    record: Change
    served: Served | None = None
    trouble: str = ""
    others: RolloutCounts = field(default_factory=RolloutCounts)
    counter: Counter = field(default_factory=Counter)
    stands: Callable[[], bool] = lambda: True

    @property
    def is_shadow(self) -> bool:
        """Whether nobody sees its answers."""
        return self.record.kind == "shadow"

    @property
    def counts(self) -> RolloutCounts:
        """What all processes have counted, as far as this one knows."""
        return self.others + self.counter.counts

    def runs_beside(self, production: Served) -> bool:
        """Whether the candidate is to be asked, beside the model that answers: not once the record is known to have
        ended, the time is over, a reason to stop is known, or Production is not what the record says.
        """
        rollout, version = self.record.rollout, production.version
        return (
            self.served is not None
            and rollout is not None
            and self.stands()
            and not self.counter.counts.stopped
            and not self.others.stopped
            and (version.version, version.digest) == (self.record.to_version, self.record.digest)
            and not is_over(rollout, datetime.now(UTC))
        )

    def model_for(self, request_id: str, production: Served) -> Served:
        """The model that answers a request: in a canary, the candidate for its share of them."""
        if self.served and takes(self.record, request_id) and self.runs_beside(production):
            return self.served
        return production

    def count(self, by: Served, pictures: Arm) -> None:
        """Count what became of pictures that one of the two answered to a client."""
        if by is self.served:
            self.counter.add(RolloutCounts(candidate=pictures))
        else:
            self.counter.add(RolloutCounts(production=pictures))

    def compare(self, production: Arm, candidate: Arm, pairs: Pairs) -> None:
        """Count a picture that both answered."""
        self.counter.add(RolloutCounts(production=production, candidate=candidate, pairs=pairs))

    def drop(self) -> None:
        """Count a copy that the candidate was not asked about."""
        self.counter.add(RolloutCounts(dropped=1))

    def knowing(self, others: RolloutCounts) -> "ServedCandidate":
        """The same, with newer counts of the others."""
        return replace(self, others=others)


@dataclass
class Holder:
    """What the watcher and the follower of rollouts write, and requests read.

    Each field is replaced as a whole, never changed in place. A request reads `served` once and computes its answer
    from that reference alone, so an answer can never mix two versions.
    """

    served: Served | None = field(default=None)
    failure: SwapFailure | None = field(default=None)
    candidate: ServedCandidate | None = field(default=None)


def warm_up(bundle: Bundle) -> None:
    """Answer a golden image as a request is answered.

    The rest of what a request needs is in use since the golden answers were checked. A model of real X-rays may refuse
    the picture, which is generated.
    """
    with span("warm up"), contextlib.suppress(ImageError):
        bundle.score(bundle.golden[0].image)
