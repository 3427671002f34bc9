"""A job that promoted asks a real server whether traffic has its version; a version that serving refuses goes back."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ray_jobs import rollback
from ray_jobs.tracking.traffic import NotServedError, RefusedError, _golden, bring_into_traffic, wait_for_traffic
from registry.model.answer import ScoredImage
from registry.model.bundle import Bundle, read_bundle
from registry.model.verified_cache import VerifiedCache
from registry.model.versions import ModelVersion, client, tags_of
from registry.production.current import production
from registry.production.promotion import history, take_back
from registry.settings import Settings
from serve.api import create_app
from serve.metrics import Metrics
from serve.production.lookout import Lookout
from serve.production.model import Holder
from serve.production.watcher import Watcher
from tests.serve.support.live import running
from tests.serve.support.models import GeneratedXrays, Registry
from tests.serve.support.waiting import free_port, until


@contextmanager
def serving(settings: Settings, cache: Path) -> Iterator[Settings]:
    """The settings of a job, beside a server that follows the registry."""
    holder, metrics, lookout = Holder(), Metrics(), Lookout(settings)
    watcher = Watcher(
        holder,
        lookup=lookout.wanted,
        withdrawn=lambda: lookout.withdrawn,
        cache=VerifiedCache(settings, cache),
        metrics=metrics,
        poll_s=0.2,
    )
    watcher.start()
    try:
        until(lambda: holder.served or holder.failure)
        with running(create_app(holder, settings=settings, metrics=metrics)) as url:
            yield settings.model_copy(update={"webapp_uri": url})
    finally:
        watcher.stop()


@pytest.fixture
def asking(registry: Registry, tmp_path: Path) -> Iterator[Settings]:
    with serving(registry.settings, tmp_path / "cache") as settings:
        yield settings


def bundle_of(registry: Registry, version: ModelVersion) -> Bundle:
    return read_bundle(registry.files_of(version), digest=version.digest)


def test_a_promotion_ends_once_the_server_answers_with_it(registry: Registry, asking: Settings) -> None:
    second = registry.versions[1]
    registry.promote(second)
    told = bring_into_traffic(asking, second, bundle_of(registry, second))
    assert told.startswith(f"{second} answers at {asking.webapp_uri}; replicas: 1, ")
    assert tags_of(asking, second)["traffic"] == told


def test_a_rollback_ends_once_the_server_answers_with_the_version_of_before(
    registry: Registry, asking: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = registry.versions[:2]
    registry.promote(second)
    wait_for_traffic(asking, second, bundle_of(registry, second))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", asking.tracking_uri)
    monkeypatch.setenv("STATE_URI", asking.state_uri)
    monkeypatch.setenv("WEBAPP_URI", asking.webapp_url)
    monkeypatch.setattr(sys, "argv", ["rollback", "--why", "a test"])
    rollback.main()
    assert f"traffic: {first} answers at {asking.webapp_url}; replicas: 1, " in capsys.readouterr().out
    assert production(asking) == first


def test_a_version_that_serving_refuses_is_taken_back_with_the_reason(registry: Registry, asking: Settings) -> None:
    first = registry.versions[0]
    broken = registry.add_unchecked("refused-by-serving", b"no estimator")
    registry.promote(broken)
    with pytest.raises(RefusedError, match=rf"refuses {broken}: .*version {first.version} is in Production again") as e:
        bring_into_traffic(asking, broken, bundle_of(registry, first))
    assert e.value.exit_code == 3
    assert production(asking) == first
    last = history(asking)[-1]
    assert (last.kind, last.from_version, last.to_version) == ("rollback", broken.version, first.version)
    assert f"refuses {broken}" in last.why
    assert tags_of(asking, broken)["traffic"] == str(e.value)
    assert client(asking).get_run(broken.run_id).data.tags["traffic"] == str(e.value)


def test_a_first_version_that_serving_refuses_is_taken_back_too_and_a_sound_one_is_followed_after_it(
    tmp_path: Path, training_set: GeneratedXrays, empty_database: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    registry = Registry.empty(tmp_path, training_set)
    sound = registry.add(0.5)
    broken = registry.add_unchecked("refused-at-first", b"no estimator")
    with serving(registry.settings, tmp_path / "cache") as asking:
        registry.promote(broken)
        with pytest.raises(RefusedError, match="It was taken back, and nothing is in Production, as before it") as e:
            bring_into_traffic(asking, broken, bundle_of(registry, sound))
        assert e.value.exit_code == 3
        assert production(asking) is None
        assert f"refuses {broken}" in history(asking)[-1].why
        registry.promote(sound)
        assert bring_into_traffic(asking, sound, bundle_of(registry, sound)).startswith(f"{sound} answers at")
        take_back(asking, sound, why="a test")
        until(lambda: httpx.get(f"{asking.webapp_url}/readyz").status_code == 503)


def test_a_golden_picture_that_is_answered_otherwise_is_told_and_nothing_is_taken_back(
    registry: Registry, asking: Settings
) -> None:
    first, second = registry.versions[:2]
    bundle = bundle_of(registry, first)
    other = replace(bundle, estimator=bundle_of(registry, registry.versions[2]).estimator)
    with pytest.raises(NotServedError, match="answers a golden picture with 0") as late:
        wait_for_traffic(asking, first, other, seconds=0)
    assert not isinstance(late.value, RefusedError)
    with pytest.raises(NotServedError, match=f"0 of 1 replicas have it, the others have version {first.version}"):
        wait_for_traffic(asking, second, bundle_of(registry, second), seconds=0)
    assert production(asking) == first


def test_a_golden_picture_that_an_abstaining_server_does_not_answer_is_not_asked_for(registry: Registry) -> None:
    bundle = bundle_of(registry, registry.versions[0])
    unsure = {golden.image for golden in bundle.golden[:1]}

    class Unsure:
        golden = bundle.golden

        def score(self, data: bytes) -> ScoredImage:
            return replace(bundle.score(data), unsure=data in unsure)

    found = _golden(Unsure())  # type: ignore[arg-type]
    assert found == (bundle.golden[1].image, bundle.score(bundle.golden[1].image).probability)


def test_where_nothing_serves_it_says_so_and_does_not_wait(registry: Registry) -> None:
    first = registry.versions[0]
    settings = registry.settings.model_copy(update={"http_port": free_port()})
    told = wait_for_traffic(settings, first, bundle_of(registry, first))
    assert (
        told
        == f"nothing serves at http://127.0.0.1:{settings.http_port}; what starts there takes what is in Production"
    )


def test_a_server_of_another_registry_is_left_alone(
    asking: Settings, tmp_path: Path, training_set: GeneratedXrays, empty_database: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    other = Registry.empty(tmp_path, training_set)
    version = other.add(0.5)
    other.promote(version)
    settings = other.settings.model_copy(update={"webapp_uri": asking.webapp_uri})
    told = wait_for_traffic(settings, version, bundle_of(other, version))
    assert "is not asked: it serves pneumonia version 1 of another registry" in told
