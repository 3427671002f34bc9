"""Traces: where the time of a request or a training goes, by OpenTelemetry, sent to the collector that a setting names.

Without OTEL_EXPORTER_OTLP_ENDPOINT there are none, and a span costs a look at a flag. With it, spans go out over OTLP
(gRPC) from a thread of their own: a collector that is away costs the spans, and a job two seconds as it ends.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from opentelemetry import context, trace
from opentelemetry.propagate import extract, inject
from opentelemetry.util.types import AttributeValue

from registry.settings import Settings

if TYPE_CHECKING:  # half a second, which only those owe who want traces
    from opentelemetry.sdk.trace import SpanProcessor

# W3C's header as an environment variable: what a process that is started continues.
PARENT_VARIABLE = "TRACEPARENT"
_PATIENCE_S = "2"  # what a job waits, as it ends, for a collector that is away; the default is 10
_FLUSH_MS = 3_000
# A worker is ended when its job is, so it sends each span at once; not to a collector that does not take them, though.
_SLOW_S, _REST_S = 1.0, 60.0
_OF_A_SENDER = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_SERVICE_NAME")
_tracer = trace.get_tracer("hm-mlflow")
_sending = threading.Event()
_rests_until = 0.0


def span(name: str, **attributes: AttributeValue) -> AbstractContextManager[object]:
    """A part of the work, below the one that it stands in; nothing where no traces are sent."""
    return _tracer.start_as_current_span(name, attributes=attributes) if are_sent() else nullcontext()


def past_span(name: str, begun_ns: int) -> None:
    """A part that began at a time, in nanoseconds since 1970, and ends now."""
    if are_sent():
        _tracer.start_span(name, start_time=begun_ns).end()


def are_sent() -> bool:
    """Whether this process sends traces: what is only computed for them can be left out otherwise."""
    return _sending.is_set()


def note(**attributes: AttributeValue) -> None:
    """Say more of the span that is open."""
    trace.get_current_span().set_attributes(attributes)


def trace_id() -> str | None:
    """The id of the trace that is open, 32 hexadecimal digits, if there is one."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else None


def for_child() -> dict[str, str]:
    """What a process that is started takes in its environment to continue the trace that is open."""
    carried = dict[str, str]()
    inject(carried)
    return {PARENT_VARIABLE: carried["traceparent"]} if "traceparent" in carried else {}


def for_worker() -> dict[str, str]:
    """What a task takes along to be part of the trace that is open; nothing where no traces are sent."""
    if not are_sent():
        return {}
    return for_child() | {name: os.environ[name] for name in _OF_A_SENDER if name in os.environ}


@contextmanager
def continued(carried: Mapping[str, str], name: str) -> Iterator[None]:
    """The work of a task as one span of the trace that `for_worker` carried here; nothing where it carried none.

    What it calls is no span of its own: a batch has thousands of pictures.
    """
    if PARENT_VARIABLE not in carried:
        yield
        return
    # Where this machine has a collector of its own, it is nearer.
    variables = {one: os.environ.get(one) or carried[one] for one in _OF_A_SENDER if one in carried}
    flush = _start(variables)
    parent = extract({"traceparent": carried[PARENT_VARIABLE]})
    try:
        where: dict[str, AttributeValue] = {"host.name": socket.gethostname(), "process.pid": os.getpid()}
        with _tracer.start_as_current_span(name, parent, attributes=where):
            yield
    finally:
        _flush_if_taken(flush)


def _flush_if_taken(flush: Callable[[], object]) -> None:
    global _rests_until  # noqa: PLW0603  of this process
    begun = time.monotonic()
    if begun < _rests_until:
        return
    flush()
    if time.monotonic() - begun > _SLOW_S:
        _rests_until = time.monotonic() + _REST_S


def environment(settings: Settings, service: str) -> dict[str, str]:
    """What OpenTelemetry reads in this process and those that it starts; nothing where no traces are sent."""
    endpoint = settings.otel_exporter_otlp_endpoint
    if not endpoint:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT", _PATIENCE_S),
        "OTEL_SERVICE_NAME": os.environ.get("OTEL_SERVICE_NAME", service),
    }


@contextmanager
def traced(settings: Settings, name: str) -> Iterator[None]:
    """The whole work of a process as a span, below the one that its environment names; it is sent when it ends."""
    if not settings.otel_exporter_otlp_endpoint:
        yield
        return
    flush = _start(environment(settings, "jobs"))
    _sending.set()
    parent = os.environ.get(PARENT_VARIABLE)
    token = context.attach(extract({"traceparent": parent})) if parent else None
    try:
        with span(name):
            yield
    finally:
        if token:
            context.detach(token)
        flush()


def span_processors() -> "list[SpanProcessor]":
    """What Ray Serve gives the spans of its proxy and of each replica to, which are processes of their own."""
    _sending.set()
    return [_processor()]


def _processor() -> "SpanProcessor":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - brings gRPC
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return BatchSpanProcessor(OTLPSpanExporter())


def _start(variables: dict[str, str]) -> Callable[[], object]:
    """Send spans from now on; gives what sends those that wait."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - half a second

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        os.environ.update(variables)
        provider = TracerProvider()
        provider.add_span_processor(_processor())
        trace.set_tracer_provider(provider)
    return lambda: provider.force_flush(_FLUSH_MS)
