"""Two replicas on Ray under steady, recorded load: promotions, one killed, one stopped, and 50,000 requests."""

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import psutil
import pytest

from benchmarks.load import closed, post
from registry.bundle import read_bundle
from registry.settings import Settings
from registry.versions import ModelVersion
from serve.lifecycle import launch
from serve.lifecycle.self_check import wait_for
from tests.serve.support.history import Traffic, answers_of, violations
from tests.serve.support.live import replicas
from tests.serve.support.models import Registry
from tests.serve.support.waiting import free_port, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

SEED = 20_262
REPLICAS = 2
PROMOTIONS = 50
CONVERGES_WITHIN_S = 10.0
REQUESTS, WARM = 50_000, 10_000
MIB = 2**20


@pytest.fixture(scope="module")
def url(registry_template: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    registry_template.promote(registry_template.versions[0])
    settings = Settings(
        mlflow_tracking_uri=registry_template.settings.mlflow_tracking_uri,
        state_uri=str(tmp_path_factory.mktemp("state")),
        http_port=free_port(),
        serve_replicas=REPLICAS,
    )
    running = launch.start(settings)
    try:
        assert wait_for(f"{running.url}/readyz", seconds=180)
        yield running.url
    finally:
        running.stop()


@pytest.fixture(scope="module")
def answers(registry_template: Registry) -> dict[int, list[float | str]]:
    """What each version has to answer to each of the registry's pictures."""
    return {
        version.version: answers_of(
            read_bundle(registry_template.files_of(version), digest=version.digest),
            registry_template.training_set.images,
        )
        for version in registry_template.versions[:3]
    }


def served(url: str) -> list[int]:
    """The version of each replica."""
    try:
        text = httpx.get(f"{url}/metrics", timeout=60).text
    except httpx.HTTPError:
        return []
    return [int(float(value)) for value in re.findall(r"^hm_serving_version\{.*\} (\S+)$", text, re.M)]


def converged(url: str, version: ModelVersion) -> bool:
    return served(url) == [version.version] * REPLICAS


def whole(url: str) -> bool:
    """Whether every replica runs and serves: one that is still starting is in no account of Serve's."""
    versions = served(url)
    return len(replicas()) == len(versions) == REPLICAS and 0 not in versions


def test_fifty_promotions_and_rollbacks_reach_every_replica_in_time_and_lose_nothing(
    url: str, registry_template: Registry, answers: dict[int, list[float | str]]
) -> None:
    order, versions, seconds = random.Random(SEED), registry_template.versions[:3], []
    current = versions[0]
    until(lambda: converged(url, current))
    with Traffic(url, registry_template.training_set.images, clients=3, seed=SEED) as traffic:
        for _ in range(PROMOTIONS):
            current = order.choice([version for version in versions if version != current])
            registry_template.promote(current)
            begun = time.monotonic()
            until(lambda current=current: converged(url, current))
            seconds.append(time.monotonic() - begun)
    print(f"{len(traffic.events)} requests, {PROMOTIONS} changes, the slowest in {max(seconds):.1f} s")
    assert violations(traffic.events, answers) == []
    assert {event.status for event in traffic.events} == {200}
    assert {event.version for event in traffic.events} == set(answers)
    assert max(seconds) <= CONVERGES_WITHIN_S


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_replica_that_is_killed_or_stopped_costs_only_what_it_had_under_way_and_is_replaced(
    url: str, registry_template: Registry, answers: dict[int, list[float | str]], number: signal.Signals
) -> None:
    until(lambda: whole(url), seconds=180)
    victim = random.Random(SEED).choice(replicas())
    with Traffic(url, registry_template.training_set.images, seed=SEED) as traffic:
        until(lambda: traffic.answered() >= 40)
        begun = time.monotonic()
        os.kill(victim.pid, number)
        until(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, seconds=300)
        gone = time.monotonic()
        until(lambda: whole(url), seconds=180)
        enough = traffic.answered() + 40
        until(lambda: traffic.answered() >= enough)
    became = Counter(event.status or event.lost for event in traffic.events)
    print(f"{number.name}: gone after {gone - begun:.1f} s, {dict(became)}")
    assert violations(traffic.events, answers, [(begun, gone)]) == []
    assert len(traffic.events) - became[200] - became[503] <= 4  # at most one of each client's


def test_fifty_thousand_requests_leave_memory_as_it_was(url: str, registry_template: Registry) -> None:
    jpeg = {"Content-Type": "image/jpeg"}
    requests = [post(f"{url}/predict", image, jpeg) for image in registry_template.training_set.images]

    def send(count: int) -> None:
        done = 0
        while done < count:
            load = closed(url, requests, connections=4, seconds=20)
            assert set(load.statuses) == {200}
            done += load.statuses[200]

    def private() -> dict[int, int]:
        return {process.pid: int(process.memory_full_info().uss) for process in replicas()}

    until(lambda: whole(url), seconds=180)
    send(WARM)
    before = private()
    send(REQUESTS)
    after = private()
    print(f"private MiB before {[b // MIB for b in before.values()]}, after {[a // MIB for a in after.values()]}")
    assert after.keys() == before.keys()
    assert sum(after.values()) <= 1.15 * sum(before.values())
