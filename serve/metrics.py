"""What serving counts and measures for Prometheus, added up over all replicas of a node."""

import asyncio
import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from serve.load import Load

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
OPEN = "hm_requests_open"
MEDIA_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SCORES = tuple(round(0.05 * step, 2) for step in range(1, 21))
# A label's values must stay few: a process that has met this many versions calls further ones "other".
_VERSIONS = 64
SHOWN_S = 0.1
_ANSWERING = ("/predict", "/explain")


class _LoadGauges:
    """Shows a load, within `SHOWN_S` of a change: writing a gauge that replicas share costs more than the change."""

    def __init__(self, load: Load, gauges: dict[str, Gauge]) -> None:
        self._load = load
        self.gauges = gauges
        self._busy = False
        self._due: asyncio.AbstractEventLoop | None = None

    def changed(self) -> None:
        """Show the load soon. A first open request is shown at once, because draining relies on it."""
        if not self._busy and self._load.requests_open.value:
            self.show()
        if self._due is None or self._due.is_closed():
            self._due = asyncio.get_running_loop()
            self._due.call_later(SHOWN_S, self._show_when_due)

    def show(self) -> None:
        """Show the load of this moment."""
        self._busy = self._load.requests_open.value > 0
        for name, gauge in self.gauges.items():
            gauge.set(getattr(self._load, name).value)

    def _show_when_due(self) -> None:
        self._due = None
        self.show()


class Metrics:
    """Every metric of one replica; `render` shows those of all replicas that share its folder.

    Where the environment names a folder (`launch` makes one a start), each replica keeps its numbers in files there,
    and whichever replica Prometheus reaches adds all of them up: counters outlive their replica, gauges do not.
    Without a folder there is one process, and it shows its own. The client reads the variable when it is imported.
    """

    def __init__(self) -> None:
        if os.environ.get(FOLDER_VARIABLE):
            pid = os.getpid()  # the client would ask the system for it at each change; a replica does not fork
            values.ValueClass = values.MultiProcessValue(lambda: pid)
        self._registry = CollectorRegistry()
        self._labelled: set[int] = set()
        self.requests = self._counter("hm_requests", "Requests answered", "method", "route", "status")
        for route in _ANSWERING:
            for status in ("200", "500", "503"):  # a rate sees the first failure only where there was a zero before it
                self.requests.labels("POST", route, status)
        self.seconds = self._histogram("hm_request_seconds", "From a request to its answer", "route", buckets=_SECONDS)
        load = {
            "requests_open": self._gauge(OPEN, "Requests that have arrived and have no answer yet"),
            "requests_in_work": self._gauge("hm_requests_in_work", "Requests that are let into work"),
            "pictures_in_work": self._gauge("hm_pictures_in_work", "Pictures that are computed or wait for a thread"),
            "buffered_bytes": self._gauge("hm_buffered_bytes", "Bytes that uploads and the requests in progress hold"),
        }
        self._load_gauges = _LoadGauges(Load(), load)
        self.refusals = self._counter("hm_refusals", "Problems sent, of requests and of single pictures", "code")
        self.scores = self._histogram("hm_score", "Probability of pneumonia of answers", "version", buckets=_SCORES)
        self.warnings = self._counter("hm_warnings", "Warnings that answers carried", "code")
        self.records = self._counter("hm_records", "Prediction records, by what became of them", "outcome")
        self.feedback = self._counter("hm_feedback", "Words of people on predictions", "version", "verdict")
        self.judged = self._histogram(
            "hm_judged_score", "Probability of answers that people judged", "version", "label", buckets=_SCORES
        )
        self.version = self._gauge("hm_serving_version", "Version that a replica answers with, 0 for none", "liveall")
        self.following = self._gauge(
            "hm_following_production", "1 while every replica serves what Production names, else 0", "livemin"
        )
        self.candidate = self._gauge(
            "hm_candidate_version", "Candidate that a replica has beside Production, 0 for none", "liveall"
        )
        self.rollout = self._counter(
            "hm_rollout_pictures", "Pictures of a rollout, by who was asked and what became of them", "arm", "outcome"
        )
        self.swaps = self._counter("hm_swaps", "Models taken into service, from the registry or from disk", "source")
        self.swap_failures = self._counter("hm_swap_failures", "Failed attempts to follow Production", "code")

    def follow(self, load: Load) -> None:
        """Show a load from now on."""
        self._load_gauges = _LoadGauges(load, self._load_gauges.gauges)
        load.listen(self._load_gauges.changed)

    def version_label(self, version: int) -> str:
        """A version as a label's value."""
        if len(self._labelled) < _VERSIONS:
            self._labelled.add(version)
        return str(version) if version in self._labelled else "other"

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self._load_gauges.show()
        folder = os.environ.get(FOLDER_VARIABLE)
        return generate_latest(_together(Path(folder)) if folder else self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self._registry)

    def _histogram(self, name: str, meaning: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, meaning, labels, registry=self._registry, buckets=buckets)

    def _gauge(self, name: str, meaning: str, over_replicas: str = "livesum") -> Gauge:
        return Gauge(name, meaning, registry=self._registry, multiprocess_mode=over_replicas)  # type: ignore[arg-type]


def open_requests(folder: Path) -> int:
    """How many requests the replicas that share a folder have open."""
    if not folder.is_dir():
        return 0  # a start that failed before there was an application has to tell its own reason
    families = _together(folder).collect()
    return int(sum(sample.value for family in families for sample in family.samples if sample.name == OPEN))


def _together(folder: Path) -> CollectorRegistry:
    forget_the_dead(folder)
    together = CollectorRegistry()
    MultiProcessCollector(together, str(folder))
    return together


def forget_the_dead(folder: Path) -> None:
    """Remove the gauges of replicas that are gone; what they counted stays."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))
