"""The application on Ray Serve, one instance for the module: answers, swaps under load, and input meant to break it."""

import threading
from collections.abc import Iterator

import httpx
import numpy as np
import psutil
import pytest

from registry.model.bundle import read_bundle
from serve.lifecycle import launch
from serve.lifecycle.self_check import wait_for
from tests.serve.support.live import replicas
from tests.serve.support.malformed import malformed
from tests.serve.support.models import Registry
from tests.serve.support.waiting import free_port, until
from tests.tolerances import ANSWER

MIB = 2**20
MALFORMED = 1_000
MEMORY_MARGIN = 1.15


@pytest.fixture(scope="module")
def registry(registry_template: Registry) -> Registry:
    registry_template.promote(registry_template.versions[0])
    return registry_template


@pytest.fixture(scope="module")
def url(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = tmp_path_factory.mktemp("state")
    settings = registry.settings.model_copy(update={"http_port": free_port(), "state_uri": str(state)})
    running = launch.start(settings)
    try:
        address = launch.url_of(settings)
        assert wait_for(f"{address}/readyz", seconds=120)
        yield address
    finally:
        running.stop()


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def replica() -> psutil.Process:
    """The process of the one replica."""
    (found,) = replicas()
    return found


def private_memory(process: psutil.Process) -> int:
    """Bytes that the process alone holds: Ray's object store, which all map, has its own bound and is not growth."""
    return int(process.memory_full_info().uss)


def in_production(client: httpx.Client, registry: Registry, index: int) -> None:
    registry.promote(registry.versions[index])
    until(lambda: client.get("/model").json()["version"] == registry.versions[index].version)


def test_it_answers_a_picture_through_haproxy(client: httpx.Client, registry: Registry) -> None:
    in_production(client, registry, 0)
    version = registry.versions[0]
    bundle = read_bundle(registry.files_of(version), digest=version.digest)
    image = registry.training_set.images[1]
    answer = client.post("/predict", files={"file": ("a.jpeg", image)}, headers={"X-Request-ID": "mine-1"})
    assert answer.json()["probability"] == pytest.approx(float(bundle.predict_unchecked([image])[0]), abs=ANSWER)
    assert answer.json()["request_id"] == "mine-1"
    assert answer.headers.get_list("x-request-id") == ["mine-1"]
    assert client.get("/").headers["x-frame-options"] == "DENY"


def test_versions_change_under_load_with_no_request_lost_and_each_answer_by_the_version_it_names(
    client: httpx.Client, url: str, registry: Registry
) -> None:
    in_production(client, registry, 0)
    image = registry.training_set.images[2]
    bundles = {v.version: read_bundle(registry.files_of(v), digest=v.digest) for v in registry.versions[:3]}
    expected = {version: float(bundle.predict_unchecked([image])[0]) for version, bundle in bundles.items()}
    assert len({round(probability, 6) for probability in expected.values()}) == 3
    answers: list[list[tuple[int, int, float]]] = [[], [], [], []]
    failures: list[str] = []
    done = threading.Event()

    def load(seen: list[tuple[int, int, float]]) -> None:
        with httpx.Client(base_url=url, timeout=60) as own:
            while not done.is_set():
                answer = own.post("/predict", content=image, headers={"Content-Type": "image/jpeg"})
                if answer.status_code != 200:
                    failures.append(answer.text)
                    continue
                body = answer.json()
                seen.append((answer.status_code, body["model"]["version"], body["probability"]))

    threads = [threading.Thread(target=load, args=(seen,)) for seen in answers]
    for thread in threads:
        thread.start()
    try:
        for index in (1, 2, 1, 0):
            in_production(client, registry, index)
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    everything = [answer for seen in answers for answer in seen]
    assert failures == []
    assert {version for _, version, _ in everything} == set(expected)
    for _, version, probability in everything:
        assert probability == pytest.approx(expected[version], abs=ANSWER)


def test_a_corrupt_version_in_production_leaves_the_old_one_answering_and_the_model_page_says_so(
    client: httpx.Client, registry: Registry
) -> None:
    in_production(client, registry, 1)
    version = registry.add(0.3)
    (registry.files_of(version) / "card.json").write_text("{}")
    registry.promote(version)
    until(lambda: client.get("/model").json()["failure"])
    card = client.get("/model").json()
    assert card["version"] == registry.versions[1].version
    assert (card["failure"]["code"], card["failure"]["version"]) == ("refused", version.version)
    in_production(client, registry, 0)
    until(lambda: client.get("/model").json()["failure"] is None)


def test_a_thousand_malformed_uploads_harm_nothing(client: httpx.Client, registry: Registry) -> None:
    sound = registry.training_set.images
    process = replica()
    # As many as it takes for every thread to have met every kind: what is measured is growth, not the first use.
    for body, media_type in malformed(sound, MALFORMED // 2, seed=1):
        client.post("/predict", content=body, headers={"Content-Type": media_type})
    for content in (bytes(60_000_000), (bytes(MIB) for _ in range(60))):
        client.post("/predict", content=content, headers={"Content-Type": "image/png"})
    before = private_memory(process)
    statuses: dict[int, int] = {}
    for body, media_type in malformed(sound, MALFORMED):
        answer = client.post("/predict", content=body, headers={"Content-Type": media_type})
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, answer.text
        assert answer.headers["content-type"] in ("application/json", "application/problem+json")
    for content in (bytes(60_000_000), (bytes(MIB) for _ in range(60))):
        answer = client.post("/predict", content=content, headers={"Content-Type": "image/png"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert {413, 415, 422} <= set(statuses)
    assert replica().pid == process.pid
    until(lambda: private_memory(process) <= MEMORY_MARGIN * before)
    print(f"statuses {statuses}, private {before / MIB:.0f} -> {private_memory(process) / MIB:.0f} MiB")
    answer = client.post("/predict", files={"file": ("a.jpeg", sound[0])})
    assert np.isfinite(answer.json()["probability"])


def test_a_port_that_is_taken_is_named_with_the_variable_that_moves_it(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    with pytest.raises(launch.StartError, match=f"127.0.0.1:{port}.*HTTP_PORT={port + 1}"):
        launch.check_port("127.0.0.1", port, purpose="The page", variable="HTTP_PORT")
