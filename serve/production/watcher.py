"""The background thread that follows Production: look, fetch, verify, warm up, then swap by one assignment."""

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from mlflow.exceptions import MlflowException

from registry.errors import ArtefactError, HistoryError
from registry.model.bundle import Bundle
from registry.model.verified_cache import VerifiedCache, cache_folder
from registry.model.versions import ModelVersion
from registry.settings import Settings
from serve.logs import chosen
from serve.metrics import Metrics
from serve.production.lookout import Lookout, Trouble
from serve.production.model import Holder, Served, SwapFailure, warm_up

log = logging.getLogger(__name__)

POLL_S = 2.0
_LONGEST_PAUSE_S = 60.0
_SAY_AGAIN_S = 120.0


class Watcher:
    """Keeps a `Holder` on the version that Production names; what is served never gets worse on any failure.

    `lookup` names the version in Production; `cache` obtains a version verified, or recalls the last one that was.
    Promotion and rollback reach traffic in the same way: both only change what `lookup` answers. `trouble` is what was
    done to alias or history from outside, which is told and not followed. `withdrawn` is whether the first version was
    taken back, so that nothing is to answer. The log is told how things stand when that changes, and every
    `say_again_s` again, so that an alarm that looks at it knows the last word of every replica.
    """

    def __init__(
        self,
        holder: Holder,
        *,
        lookup: Callable[[], ModelVersion | None],
        cache: VerifiedCache,
        trouble: Callable[[], Trouble | None] = lambda: None,
        withdrawn: Callable[[], bool] = lambda: False,
        metrics: Metrics | None = None,
        poll_s: float = POLL_S,
        say_again_s: float = math.inf,
    ) -> None:
        self.holder = holder
        self._metrics = metrics or Metrics()
        self._metrics.version.set(0)
        self._metrics.following.set(0)
        self._lookup = lookup
        self._trouble = trouble
        self._withdrawn = withdrawn
        self._cache = cache
        self._poll_s = poll_s
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._swapping = threading.Lock()
        self._thread: threading.Thread | None = None
        self._refused: tuple[int, str] | None = None
        self._refusals = 0
        self._skips = 0
        self._followed = False
        self._said = time.monotonic()
        self._say_again_s = say_again_s

    def start(self) -> None:
        """Begin to follow Production; returns at once, before any model is loaded."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="model-watcher", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether the first look ended within a time, with any outcome.

        If not, the last verified model is taken meanwhile: requests are about to come, and other replicas answer them.
        """
        if self._looked.wait(seconds):
            return True
        try:
            self._recall()
        except Exception:  # a replica without a model is better than one that does not start
            log.exception("The last verified model cannot be used.")
        return False

    def stop(self) -> None:
        """Stop following; a fetch that is under way may outlive this by a moment."""
        self._stopped.set()
        if self._thread:
            self._thread.join(timeout=2 * self._poll_s)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.step()
            except Exception:  # the thread must survive any error, and the log must show it
                log.exception("The model watcher failed for an unknown reason. The current model keeps answering.")
            self._looked.set()
            self._stopped.wait(self._poll_s)

    def step(self) -> None:
        """Look once and act on it."""
        try:
            wanted = self._lookup()
        except HistoryError as error:
            trouble = self._trouble()
            self._fail(trouble.code if trouble else "history-damaged", None, str(error))
            self._recall()
            return
        except (MlflowException, OSError, RuntimeError, ValueError) as error:
            self._fail("registry-unreachable", None, f"The registry did not answer: {_brief(error)}")
            self._recall()
            return
        if wanted is None:
            if self._withdrawn() and self.holder.served:
                log.warning("%s was taken back, and nothing answers now.", self.holder.served.version)
                self.holder.served = None
                self._metrics.version.set(0)
            self._fail("no-production-version", None, "No version is in Production.")
            return
        if self._serves(wanted):
            self._follows()
        elif not self._waits(wanted):
            self._replace(wanted)

    def _serves(self, wanted: ModelVersion) -> bool:
        served = self.holder.served
        return served is not None and _identity(served.version) == _identity(wanted)

    def _waits(self, wanted: ModelVersion) -> bool:
        """Whether a version that failed before has to wait for its next try; tries thin out to one a minute."""
        if self._refused != _identity(wanted):
            return False
        self._skips -= 1
        return self._skips > 0

    def _replace(self, wanted: ModelVersion) -> None:
        try:
            bundle = self._cache.obtain(wanted)
            warm_up(bundle)
            if self._outdated(wanted):
                return
        except ArtefactError as error:
            self._fail("refused", wanted, str(error))
        except Exception as error:  # a store, a disk or a model can raise anything: the current model stays
            self._fail("not-fetched", wanted, f"{wanted} could not be fetched and tried: {_brief(error)}")
        else:
            self._swap(wanted, bundle, "registry")
            self._follows()
            return
        self._refusals = self._refusals + 1 if self._refused == _identity(wanted) else 1
        self._refused = _identity(wanted)
        self._skips = int(min(2**self._refusals, max(1.0, _LONGEST_PAUSE_S / self._poll_s)))
        self._recall()

    def _outdated(self, wanted: ModelVersion) -> bool:
        """Whether Production moved on while this version was fetched: a slow replica must not go back to it.

        One that serves nothing yet takes it all the same: requests reach it once its first look ends.
        """
        try:
            now = self._lookup()
        except (HistoryError, MlflowException, OSError, RuntimeError, ValueError):
            return False  # nothing newer is known
        if now is None:
            return self._withdrawn()
        return self.holder.served is not None and _identity(now) != _identity(wanted)

    def _recall(self) -> None:
        """With nothing served yet, take the last verified copy on disk; a model that serves is never replaced by it."""
        if self.holder.served is not None:
            return
        recalled = self._cache.recall()
        if recalled:
            version, bundle = recalled
            warm_up(bundle)
            self._swap(version, bundle, "disk")

    def _swap(self, version: ModelVersion, bundle: Bundle, source: Literal["registry", "disk"]) -> None:
        with self._swapping:
            before = self.holder.served
            if source == "disk" and before is not None:
                return  # the look that took so long has ended meanwhile
            self.holder.served = Served(version=version, bundle=bundle, since=_now(), source=source)
            self._metrics.version.set(version.version)
            self._metrics.swaps.labels(source).inc()
        was = before.version if before else "none"
        log.info("Serving %s (from %s). Before: %s.", version, source, was, extra={"fields": {"ready": "yes"}})

    def _follows(self) -> None:
        """What Production names is what serves; whether it is also what the alias names is another question."""
        self._refused = None
        if trouble := self._trouble():
            served = self.holder.served
            self._fail(trouble.code, served.version if served else None, trouble.detail)
            return
        if self._is_said(changed=self.holder.failure is not None or not self._followed):
            was = f" again. The failure was: {self.holder.failure.code}" if self.holder.failure else ""
            log.info("Production is followed%s.", was, extra={"fields": {"ready": "yes"}})
        self._followed = True
        self.holder.failure = None
        self._metrics.following.set(1)

    def _fail(self, code: str, version: ModelVersion | None, detail: str) -> None:
        known = self.holder.failure
        number = version.version if version else None
        same = known is not None and (known.code, known.version) == (code, number)
        failure = SwapFailure(
            code=code,  # type: ignore[arg-type]
            version=number,
            detail=detail,
            remedy=_REMEDIES[code],
            since=known.since if known and same else _now(),
        )
        self.holder.failure = failure
        self._metrics.swap_failures.labels(code).inc()
        self._metrics.following.set(0)
        if self._is_said(changed=not same):
            served = self.holder.served
            kept = f"{served.version} keeps serving" if served else "no model serves yet"
            fields = {"code": code, "version": number, "ready": "yes" if served else "no"}
            message = f"{detail.rstrip('.')}; {kept}. {failure.remedy}"
            log.warning("%s", message, extra={"fields": fields})

    def _is_said(self, *, changed: bool) -> bool:
        """Whether the log is told how it stands: when that changes, and every so often again."""
        now = time.monotonic()
        if not changed and now - self._said < self._say_again_s:
            return False
        self._said = now
        return True


_REMEDIES = {
    "registry-unreachable": "Start the MLflow server, or correct MLFLOW_TRACKING_URI. It is asked again in seconds.",
    "no-production-version": "Train one with `python -m ray_jobs.train`, or promote one with "
    "`python -m ray_jobs.promote`.",
    "refused": "Go back with `python -m ray_jobs.rollback`, or train a new version with `python -m ray_jobs.train`.",
    "alias-moved": "Change Production with `python -m ray_jobs.promote`, which checks and records it; "
    "`python -m ray_jobs.history --repair` puts the alias back.",
    "history-damaged": "`python -m ray_jobs.history --verify` shows it, `--repair` repairs what it can.",
    "history-newer": "`python -m ray_jobs.history --verify` shows what MLflow's database lacks, `--repair` writes it.",
    "not-fetched": "Check the artefact store and the disk's free space. The server tries again within a minute.",
}


def watch(holder: Holder, lookout: Lookout, settings: Settings, metrics: Metrics) -> Watcher:
    """A watcher, not yet started, of the registry that the settings name."""
    cache = VerifiedCache(settings, cache_folder(settings))
    return Watcher(
        holder,
        lookup=lookout.wanted,
        trouble=lambda: lookout.trouble,
        withdrawn=lambda: lookout.withdrawn,
        cache=cache,
        metrics=metrics,
        say_again_s=_SAY_AGAIN_S if chosen(settings.log_format) == "json" else math.inf,  # no person reads that log
    )


def _identity(version: ModelVersion) -> tuple[int, str]:
    return version.version, version.digest


def _now() -> datetime:
    return datetime.now(UTC)


def _brief(error: Exception) -> str:
    """The error's kind and first line: a store's whole trace is too much for a page."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
