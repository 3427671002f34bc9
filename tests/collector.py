"""A collector of traces: an OTLP server over gRPC, in a process of its own, that keeps what it is sent in a file.

A test's own process cannot be the server: it starts Ray, and gRPC's threads and forks do not go together.
"""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from registry.settings import ROOT

# What is done for each picture of a request.
OF_A_PICTURE = {"decode", "find the lungs", "describe", "compare with the training side", "score"}


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Where it listens, and what came in so far."""

    endpoint: str
    file: Path

    def _received(self) -> list[ResourceSpans]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [ResourceSpans.FromString(bytes.fromhex(line)) for line in lines]

    @property
    def services(self) -> set[str]:
        return {
            item.value.string_value
            for found in self._received()
            for item in found.resource.attributes
            if item.key == "service.name"
        }

    def spans(self) -> list[Span]:
        return [span for found in self._received() for scope in found.scope_spans for span in scope.spans]

    def of(self, trace_id: str) -> dict[str, Span]:
        """The spans of a trace by their names."""
        return {span.name: span for span in self.spans() if span.trace_id.hex() == trace_id}


def above(span: Span, spans: dict[str, Span]) -> list[str]:
    """The names of the spans that one stands in, the innermost first."""
    by_id = {other.span_id: other for other in spans.values()}
    found, parent = list[str](), by_id.get(span.parent_span_id)
    while parent is not None:
        found.append(parent.name)
        parent = by_id.get(parent.parent_span_id)
    return found


def attributes(span: Span) -> dict[str, str | int]:
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def check_followed(spans: dict[str, Span], caller: str, request_id: str) -> None:
    """Hold the spans of a request to its way from HAProxy to what is done for its picture, below who called."""
    assert {*OF_A_PICTURE, "request", "haproxy"} <= set(spans)
    for name in OF_A_PICTURE:
        assert "request" in above(spans[name], spans)
    tops = {[name, *above(span, spans)][-1] for name, span in spans.items()}
    assert {spans[name].parent_span_id.hex() for name in tops} == {caller}
    request = attributes(spans["request"])
    assert (request["route"], request["status"], request["request_id"]) == ("/predict", 200, request_id)


@contextmanager
def collecting(folder: Path) -> Iterator[Collector]:
    """A collector on a free port of this machine, for as long as the block runs."""
    file = folder / "spans"
    command = [sys.executable, "-m", "tests.collector", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Collector(endpoint=process.stdout.readline().strip(), file=file)
        finally:
            process.kill()


def main() -> None:
    """`python -m tests.collector FILE [ADDRESS]`; without an address on a free port of this machine."""
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services

    class Servicer(services.TraceServiceServicer):
        def Export(self, request, _context):
            with Path(sys.argv[1]).open("a") as file:
                file.writelines(f"{found.SerializeToString().hex()}\n" for found in request.resource_spans)
            return messages.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    services.add_TraceServiceServicer_to_server(Servicer(), server)
    address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:0"
    print(f"http://127.0.0.1:{server.add_insecure_port(address)}", flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
