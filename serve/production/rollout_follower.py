"""The background thread that follows shadow and canary: fetch the candidate, count with the others, end it by its rule.

It is a thread of its own, so that a large candidate or a slow store never keeps the watcher from following Production.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from mlflow.exceptions import MlflowException

from registry.errors import ArtefactError, HistoryError
from registry.model.verified_cache import VerifiedCache
from registry.model.versions import ModelVersion, version_of
from registry.production.canary_rule import reason_to_take_back
from registry.production.history import Change
from registry.production.rollout import End, end_rollout, is_over
from registry.production.rollout_counts import RolloutCounts, read_counts, write_counts
from registry.settings import Settings
from registry.state import State, open_state
from serve.metrics import Metrics
from serve.production.memory import check_memory
from serve.production.model import Holder, Served, ServedCandidate, warm_up
from serve.production.watcher import POLL_S

log = logging.getLogger(__name__)

_SHARE_S = 5.0  # between two exchanges of counts: each costs a write and some reads of the store
_UNRECORDED_S = 60.0  # where serving may only read MLflow, somebody else has to record the end
_REFUSED_S = 8.0  # a file that arrived broken is no reason to end a rollout, so it is tried again


class RolloutFollower:
    """Keeps `Holder.candidate` on what `lookup` names: the record of the rollout that runs, None where none does."""

    def __init__(
        self,
        holder: Holder,
        *,
        lookup: Callable[[], Change | None],
        settings: Settings,
        cache: Path,
        metrics: Metrics | None = None,
        poll_s: float = POLL_S,
        share_s: float = _SHARE_S,
    ) -> None:
        self._holder = holder
        self._lookup = lookup
        self._settings = settings
        self._cache = VerifiedCache(settings, cache)
        self._metrics = metrics or Metrics()
        self._metrics.candidate.set(0)
        self._poll_s = poll_s
        self._share_s = share_s
        self._writer = uuid4().hex[:12]
        self._state: State | None = None
        self._written: RolloutCounts | None = None
        self._shared = 0.0
        self._refused: float | None = None
        self._record_at = 0.0
        self._last_failure = ""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="rollout-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following, and write what was counted last."""
        self._stopped.set()
        if self._thread:
            self._thread.join(timeout=2 * self._poll_s)
        if candidate := self._holder.candidate:
            self._try(lambda: self._share(candidate))

    def _run(self) -> None:
        while not self._stopped.wait(self._poll_s):
            self.step()

    def step(self) -> None:
        """Look once and act on it; what fails is told once, and tried again at the next look."""
        if self._try(self._step):
            self._last_failure = ""

    def _try(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except Exception as error:  # the thread must survive any error, and the visible answer knows nothing of it
            failure = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
            if failure != self._last_failure:
                log.warning("The rollout of a candidate cannot be followed now: %s. It is tried again.", failure)
            self._last_failure = failure
            return False
        return True

    def _step(self) -> None:
        record, candidate = self._lookup(), self._holder.candidate
        if candidate and (record is None or record.id != candidate.record.id):
            self._drop(candidate)
            candidate = None
        if record is None or record.rollout is None:
            return
        if candidate is None:
            # A slow store may keep this thread for long, and requests have to know of the end without it.
            candidate = self._hold(ServedCandidate(record=record, stands=lambda: self._runs(record)))
            log.info("Version %d: %s.", record.rollout.version, record.rollout)
        if time.monotonic() - self._shared >= self._share_s:
            candidate = self._share(candidate)
        counts = candidate.counts
        if is_over(record.rollout, datetime.now(UTC)):
            self._end(candidate, "ended", "its time is over")
        elif counts.stopped:
            self._end(candidate, "taken back", counts.stopped)
        elif candidate.served is None:
            self._load(candidate)
        elif record.rollout.share and (reason := reason_to_take_back(counts)):
            candidate.counter.stop(reason)
            self._share(candidate)
            self._end(candidate, "taken back", reason)

    def _runs(self, record: Change) -> bool:
        now = self._lookup()
        return now is not None and now.id == record.id

    def _hold(self, candidate: ServedCandidate) -> ServedCandidate:
        self._holder.candidate = candidate
        return candidate

    def _load(self, candidate: ServedCandidate) -> None:
        rollout = candidate.record.rollout
        assert rollout  # noqa: S101  the record of a rollout has it
        try:
            version = version_of(self._settings, rollout.version)
            served = self._fetched(version, rollout.digest)
        except ArtefactError as error:
            self._hold(_with(candidate, trouble=str(error)))
            self._refused = self._refused or time.monotonic()
            if time.monotonic() - self._refused >= _REFUSED_S:
                candidate.counter.stop(f"serving refuses it: {error}")
            return
        except Exception as error:
            self._hold(_with(candidate, trouble=f"it could not be fetched: {type(error).__name__}"))
            raise
        self._hold(_with(candidate, served=served))
        self._metrics.candidate.set(rollout.version)
        log.info("%s is there: %s.", version, rollout)

    def _fetched(self, version: ModelVersion, digest: str) -> Served:
        if version.digest != digest:
            raise ArtefactError(f"{version} has other files than when its rollout began")
        check_memory()
        bundle = self._cache.obtain(version)
        warm_up(bundle)
        return Served(version=version, bundle=bundle, since=datetime.now(UTC), source="registry")

    def _share(self, candidate: ServedCandidate) -> ServedCandidate:
        """Write what was counted here, and read what the others counted."""
        self._shared = time.monotonic()
        state, record = self._opened(), candidate.record
        mine = candidate.counter.counts
        if mine != (self._written or RolloutCounts()):
            write_counts(state, record.id, self._writer, mine)
            self._written = mine
        return self._hold(candidate.knowing(read_counts(state, record.id, but=self._writer)))

    def _end(self, candidate: ServedCandidate, kind: End, why: str) -> None:
        if not candidate.counter.counts.stopped:
            candidate.counter.stop(why)  # from now on here, whether or not it can be recorded
        if time.monotonic() < self._record_at:
            return
        candidate = self._share(candidate)
        try:
            ended = end_rollout(
                self._settings, candidate.record, kind=kind, why=why, counts=candidate.counts, by_rule=True
            )
        except (HistoryError, MlflowException, OSError) as error:
            self._record_at = time.monotonic() + _UNRECORDED_S
            raise RuntimeError(f"its end could not be recorded ({why}): {error}") from error
        if ended:
            log.warning("%s", ended)

    def _drop(self, candidate: ServedCandidate) -> None:
        self._holder.candidate = None
        self._metrics.candidate.set(0)
        self._refused, self._record_at = None, 0.0
        self._try(lambda: write_counts(self._opened(), candidate.record.id, self._writer, candidate.counter.counts))
        self._written = None
        log.info("Record %d is over: its candidate is asked nothing more.", candidate.record.number)

    def _opened(self) -> State:
        if self._state is None:
            self._state = open_state(self._settings.state_uri)
        return self._state


def _with(candidate: ServedCandidate, *, served: Served | None = None, trouble: str = "") -> ServedCandidate:
    return replace(candidate, served=served, trouble=trouble)
