"""Two replicas behind one address: one picture of both in the metrics, the log and the memory, whoever answers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

from ray_jobs.tracking.traffic import wait_for_traffic
from registry.model.bundle import read_bundle
from registry.records.predictions import read
from registry.settings import Settings
from registry.state import open_state
from serve.lifecycle import launch
from serve.lifecycle.self_check import wait_for
from tests.serve.support.live import replicas
from tests.serve.support.models import Registry
from tests.serve.support.waiting import free_port, until

REPLICAS = 2
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def settings(registry_template: Registry, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    registry_template.promote(registry_template.versions[0])
    return Settings(
        mlflow_tracking_uri=registry_template.settings.mlflow_tracking_uri,
        state_uri=str(tmp_path_factory.mktemp("state")),
        http_port=free_port(),
        serve_replicas=REPLICAS,
        log_format="json",
        api_keys=f"tests:{KEY}",
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "stderr"


@pytest.fixture(scope="module")
def running(settings: Settings, log: Path) -> Iterator[launch.RunningApplication]:
    with log.open("w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        running = launch.start(settings)
        try:
            assert wait_for(f"{running.url}/readyz", seconds=120)
            yield running
        finally:
            running.stop()


@pytest.fixture
def client(running: launch.RunningApplication) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=running.url, timeout=60, headers=headers) as client:
        yield client


def samples(client: httpx.Client, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    text = client.get("/metrics").text
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_replicas_and_what_passes_requests_to_them_give_way_to_no_other_program(
    running: launch.RunningApplication,
) -> None:
    mine = psutil.Process()
    passing_on = [child for child in mine.children(recursive=True) if child.name() == "haproxy"]
    assert len(replicas()) == REPLICAS
    assert {process.nice() for process in [*replicas(), *passing_on]} == {mine.nice()}


def test_a_promotion_ends_once_both_replicas_answer_with_it(
    settings: Settings, registry_template: Registry, running: launch.RunningApplication
) -> None:
    first, second = registry_template.versions[:2]
    for version in (second, first):
        bundle = read_bundle(registry_template.files_of(version), digest=version.digest)
        registry_template.promote(version)
        told = wait_for_traffic(settings, version, bundle)
        assert told.startswith(f"{version} answers at {running.url}; replicas: {REPLICAS}, ")
    without = settings.model_copy(update={"api_keys": None})
    assert "is not asked: it says 401; name an API key" in wait_for_traffic(without, first, bundle)


def versions(client: httpx.Client) -> list[float]:
    """What each replica serves."""
    return sorted(samples(client, "hm_serving_version").values())


def predictions(client: httpx.Client) -> float:
    route = (("method", "POST"), ("route", "/predict"), ("status", "200"))
    return samples(client, "hm_requests_total").get(route, 0)


def test_all_replicas_follow_a_promotion_and_a_rollback_and_the_metrics_show_each_of_them(
    client: httpx.Client, registry_template: Registry
) -> None:
    first, second = registry_template.versions[:2]
    for version in (first, second, first):
        registry_template.promote(version)
        until(lambda version=version: versions(client) == [version.version] * REPLICAS)
    until(lambda: samples(client, "hm_following_production") == {(): 1})
    assert samples(client, "hm_swaps_total")[("source", "registry"),] >= 3 * REPLICAS - 1


def test_the_counts_of_all_replicas_add_up_whichever_is_asked(
    client: httpx.Client, registry_template: Registry
) -> None:
    before, image = predictions(client), registry_template.training_set.images[0]
    for _ in range(20):
        assert client.post("/predict", files={"file": ("a.jpeg", image)}).status_code == 200
    assert [predictions(client) for _ in range(6)] == [before + 20] * 6


def many(client: httpx.Client, images: Sequence[bytes]) -> httpx.Response:
    """The answer to one request with many pictures."""
    parts = [("file", (f"{number}.jpeg", image)) for number, image in enumerate(images)]
    return client.post("/predict", files=parts)


def processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_both_replicas_work_on_one_request_with_many_pictures(
    client: httpx.Client, registry_template: Registry
) -> None:
    images = [registry_template.training_set.images[number % 24] for number in range(64)]
    both = replicas()
    before = [processor_s(process) for process in both]
    results = many(client, images).json()["results"]
    assert [result["filename"] for result in results] == [f"{number}.jpeg" for number in range(64)]
    assert all("probability" in result for result in results)
    worked = [processor_s(process) - begun for process, begun in zip(both, before, strict=True)]
    assert min(worked) > 0.2 * sum(worked)  # the first part alone is a quarter of the pictures


def test_a_word_on_a_prediction_is_taken_whichever_replica_made_it(
    client: httpx.Client, registry_template: Registry
) -> None:
    image = registry_template.training_set.images[1]
    ids = [client.post("/predict", files={"file": ("a.jpeg", image)}).json()["id"] for _ in range(4)]

    def word(prediction_id: str) -> int:
        return client.post(f"/predictions/{prediction_id}/feedback", json={"label": "NORMAL"}).status_code

    for prediction_id in ids:
        until(lambda prediction_id=prediction_id: word(prediction_id) == 200)
    assert sum(entry["confirmed"] + entry["corrected"] for entry in client.get("/feedback").json()["versions"]) == 4


_JOIN = """
import sys
import ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False)
except BaseException as error:
    print("refused", type(error).__name__)
else:
    print("joined")
"""


def test_another_program_of_the_same_user_cannot_join_the_servers_ray(running: launch.RunningApplication) -> None:
    assert running.url
    address = ray.get_runtime_context().gcs_address
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_gcs_server_request_timeout_seconds": "5"}
    command = [sys.executable, "-c", _JOIN, address]
    try:
        told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False).stdout
    except subprocess.TimeoutExpired as error:
        told = (error.stdout or b"").decode()  # it still asks, and has not joined
    assert "joined" not in told


def test_a_replica_that_was_killed_comes_back_on_the_version_in_production_and_its_counts_stay(
    client: httpx.Client, registry_template: Registry
) -> None:
    newest = registry_template.versions[2]
    registry_template.promote(newest)
    until(lambda: versions(client) == [newest.version] * REPLICAS)
    counted, victim = predictions(client), replicas()[0]
    os.kill(victim.pid, signal.SIGKILL)
    seen = set()
    # HAProxy sends some of these to the replica that is gone: that is a problem document too, and no bare 500.
    answers = [client.get("/nowhere") for _ in range(20)]
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert {answer.json()["code"] for answer in answers} <= {"not-found", "no-replica"}

    def back() -> bool:
        try:
            seen.update(versions(client))
        except httpx.HTTPError:
            return False
        return len(replicas()) == REPLICAS and versions(client) == [newest.version] * REPLICAS

    until(back, seconds=120)
    assert seen <= {0, newest.version}
    assert predictions(client) == counted


def test_what_every_replica_answered_is_on_record_and_in_the_log_after_the_stop(
    running: launch.RunningApplication,
    client: httpx.Client,
    registry_template: Registry,
    settings: Settings,
    log: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = registry_template.training_set.images[2]
    answers = [client.post("/predict", files={"file": ("Jane.jpeg", image)}).json() for _ in range(6)]
    running.stop()
    assert capsys.readouterr().out == ""  # no complaint of Ray's about what is ended
    since = datetime.now(UTC) - timedelta(hours=1)
    tables = [table for _, table in read(open_state(settings.state_uri), since=since)]
    recorded = {name for table in tables for name in table["id"].to_pylist()}
    assert {answer["id"] for answer in answers} <= recorded
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    requests = {line["request_id"]: line for line in lines if line["logger"] == "serve.http.access"}
    for answer in answers:
        line = requests[answer["request_id"]]
        assert (line["route"], line["status"], line["key"]) == ("/predict", 200, "tests")
    assert "Jane" not in log.read_text()
    assert KEY not in log.read_text()
