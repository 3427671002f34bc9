"""Metrics of one application, of several processes together, and the log's lines."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from registry.process.log_lines import JsonLines
from registry.settings import ROOT, Settings
from serve.api import create_app
from serve.http.access import log as access_log
from serve.metrics import FOLDER_VARIABLE, Metrics
from serve.production.model import Holder
from tests.serve.support.models import GeneratedXrays
from tests.serve.support.waiting import until


@pytest.fixture
def client(holder: Holder, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(holder, settings=settings), raise_server_exceptions=False) as client:
        yield client


def samples(client: TestClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return by_name(answer.text)


def by_name(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_refusals_and_scores_are_counted_by_route_status_code_and_version(
    client: TestClient, training_set: GeneratedXrays
) -> None:
    images = [("file", ("a.jpeg", image)) for image in training_set.images[:2]]
    client.post("/predict", files=images[:1])
    client.post("/predict", files=[*images, ("file", ("b", b"no picture"))])
    client.post("/predict", files=[("file", ("b", b"no picture"))])
    client.post("/predict", content=b"")
    client.post("/", files=images[:1])
    idle = {"hm_requests_in_work", "hm_pictures_in_work", "hm_buffered_bytes"}
    until(lambda: {name for (name, _), value in samples(client).items() if value == 0} >= idle)
    found = samples(client)
    route = ("route", "/predict")
    assert found["hm_requests_total", (("method", "POST"), route, ("status", "200"))] == 2
    assert found["hm_requests_total", (("method", "POST"), route, ("status", "415"))] == 2
    assert found["hm_request_seconds_count", (route,)] == 4
    assert found["hm_refusals_total", (("code", "unsupported-image"),)] == 2
    assert found["hm_refusals_total", (("code", "unsupported-media-type"),)] == 1
    assert found["hm_score_count", (("version", "7"),)] == 4
    assert found["hm_requests_open", ()] == 1  # the scrape itself
    assert found.get(("hm_warnings_total", (("code", "coloured"),)), 0) == 0


def test_addresses_and_methods_of_nobody_share_one_label_however_many_there_are(client: TestClient) -> None:
    for index in range(50):
        client.get(f"/nowhere/{index}")
        client.request(f"X{index}", "/predict")
        client.post(f"/static/{index}")
    found = samples(client)
    labels = {labels for (name, labels), value in found.items() if name == "hm_requests_total" and value}
    assert found["hm_requests_total", (("method", "GET"), ("route", "unmatched"), ("status", "404"))] == 50
    assert len(labels) == 3


def test_failures_of_what_answers_are_shown_as_zero_before_the_first_of_them(client: TestClient) -> None:
    found = samples(client)
    for route in ("/predict", "/explain"):
        for status in ("500", "503"):
            assert found["hm_requests_total", (("method", "POST"), ("route", route), ("status", status))] == 0


def test_versions_beyond_the_bound_share_one_label() -> None:
    metrics = Metrics()
    labels = {metrics.version_label(version) for version in range(1, 200)}
    assert len(labels) == 65
    assert metrics.version_label(1) == "1"
    assert metrics.version_label(199) == "other"


_PROCESS = """
import sys
from serve.load import Load
from serve.metrics import Metrics
metrics = Metrics()
metrics.swaps.labels("registry").inc(int(sys.argv[1]))
load = Load()
metrics.follow(load)
load.requests_open.value = 5
metrics.version.set(int(sys.argv[1]))
metrics.following.set(int(sys.argv[1]) != 3)
print(metrics.render().decode(), flush=True)
sys.stdin.read()
"""


def test_one_process_shows_the_numbers_of_all_and_forgets_the_gauges_of_the_dead(tmp_path: Path) -> None:
    environment = {**os.environ, FOLDER_VARIABLE: str(tmp_path)}

    def process(number: int) -> subprocess.Popen:
        command = [sys.executable, "-c", _PROCESS, str(number)]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    first = process(3)
    until(lambda: list(tmp_path.glob(f"gauge_livemin_{first.pid}.db")))
    first_seen = read_until_quiet(first)
    second = process(4)
    together = read_until_quiet(second)
    first.communicate()
    third = process(5)
    later = read_until_quiet(third)
    for ended in (second, third):
        ended.communicate()
    assert first_seen["hm_swaps_total", (("source", "registry"),)] == 3
    assert together["hm_swaps_total", (("source", "registry"),)] == 7
    assert together["hm_requests_open", ()] == 10
    assert together["hm_following_production", ()] == 0
    assert {value for (name, _), value in together.items() if name == "hm_serving_version"} == {3, 4}
    assert later["hm_swaps_total", (("source", "registry"),)] == 12
    assert later["hm_requests_open", ()] == 10
    assert later["hm_following_production", ()] == 1
    assert {value for (name, _), value in later.items() if name == "hm_serving_version"} == {4, 5}


def read_until_quiet(process: subprocess.Popen) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a process has printed, up to the empty line at the end of it."""
    assert process.stdout
    return by_name("".join(iter(process.stdout.readline, "\n")))


def test_each_request_has_one_line_with_its_id_and_nothing_of_what_it_carried(
    client: TestClient, training_set: GeneratedXrays, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=access_log.name)
    client.post(
        "/predict?secret=1", files=[("file", ("Jane Doe.jpeg", training_set.images[0]))], headers={"X-Request-ID": "r1"}
    )
    client.post("/predict", files=[("file", ("Jane Doe.txt", b"Jane Doe"))])
    client.get("/healthz")
    records = [record for record in caplog.records if record.name == access_log.name]
    lines = [json.loads(JsonLines().format(record)) for record in records]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/predict", 200),
        ("POST", "/predict", 415),
        ("GET", "/healthz", 200),
    ]
    assert lines[0]["request_id"] == "r1"
    assert lines[0]["version"] == 7
    assert lines[1]["problem"] == "unsupported-image"
    assert lines[0]["seconds"] > 0
    assert [record.levelname for record in records] == ["INFO", "INFO", "DEBUG"]
    assert not any(word in json.dumps(lines) for word in ("Jane", "secret"))
