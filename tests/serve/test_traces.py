"""A request's way, seen in a trace: from the header that it brought to the descriptors of its picture."""

import time

import httpx

from serve.lifecycle import launch
from serve.lifecycle.self_check import wait_for
from tests.collector import check_followed, collecting
from tests.serve.support.models import Registry
from tests.serve.support.waiting import free_port, until

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLOCKS_NS = 1_000_000_000  # HAProxy tells milliseconds by a clock of its own, which it puts right from time to time


def test_a_request_is_followed_from_its_caller_through_serve_to_the_descriptors(
    registry_template: Registry, tmp_path, monkeypatch
) -> None:
    registry_template.promote(registry_template.versions[0])
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_SERVICE_NAME"):
        monkeypatch.setenv(name, "")  # so that what the server sets goes away with the test
        monkeypatch.delenv(name)
    with collecting(tmp_path) as collector:
        settings = registry_template.settings.model_copy(
            update={
                "http_port": free_port(),
                "state_uri": str(tmp_path / "state"),
                "otel_exporter_otlp_endpoint": collector.endpoint,
            }
        )
        running = launch.start(settings)
        try:
            url = launch.url_of(settings)
            assert wait_for(f"{url}/readyz", seconds=120)
            before = time.time_ns()
            # When it came, HAProxy knows, whatever the request says of it.
            headers = {"content-type": "image/jpeg", "X-Request-ID": "mine-1", "X-Request-Start": "t=1"}
            headers["traceparent"] = f"00-{TRACE}-{CALLER}-01"
            image = registry_template.training_set.images[1]
            answer = httpx.post(f"{url}/predict", content=image, headers=headers, timeout=60)
            assert answer.status_code == 200, answer.text
            until(lambda: any(span.parent_span_id.hex() == CALLER for span in collector.spans()))
            until(lambda: "request" in collector.of(TRACE))
        finally:
            running.stop()
        spans, services = collector.of(TRACE), collector.services

    check_followed(spans, CALLER, "mine-1")
    taken = spans["haproxy"].start_time_unix_nano
    assert before - CLOCKS_NS <= taken <= spans["request"].start_time_unix_nano + CLOCKS_NS
    assert services == {"webapp"}
