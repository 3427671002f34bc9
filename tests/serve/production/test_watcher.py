"""The watcher against a real registry: promotion, rollback, what is refused, and a registry or a store that is away."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.reading.errors import NotAChestXray
from registry.model.bundle import Bundle, read_bundle
from registry.model.verified_cache import VerifiedCache
from registry.model.versions import ModelVersion
from registry.production.current import production
from registry.settings import Settings
from serve.lifecycle.mlflow_ui import MlflowUi
from serve.metrics import Metrics
from serve.production.model import Holder
from serve.production.watcher import Watcher
from tests.serve.support.models import Registry
from tests.serve.support.waiting import free_port, until


@pytest.fixture
def watcher(registry: Registry, tmp_path: Path) -> Iterator[Watcher]:
    watcher = watcher_of(registry.settings, tmp_path / "cache")
    yield watcher
    watcher.stop()


def watcher_of(settings: Settings, folder: Path, holder: Holder | None = None) -> Watcher:
    cache = VerifiedCache(settings, folder)
    return Watcher(holder or Holder(), lookup=lambda: production(settings), cache=cache, poll_s=0.05)


def version_served(watcher: Watcher) -> int | None:
    return watcher.holder.served.version.version if watcher.holder.served else None


def test_a_promotion_and_a_rollback_reach_a_running_watcher(registry: Registry, watcher: Watcher) -> None:
    first, second, third = registry.versions[:3]
    assert not watcher.wait(0)
    watcher.start()
    assert watcher.wait(60)
    assert version_served(watcher) == first.version
    for version in (second, third, second, first):
        registry.promote(version)
        until(lambda version=version: version_served(watcher) == version.version)
    assert watcher.holder.served
    assert watcher.holder.served.source == "registry"
    assert watcher.holder.failure is None
    assert watcher.alive


def test_what_is_served_is_the_model_of_the_version_and_answers_as_it_did_when_trained(
    registry: Registry, watcher: Watcher
) -> None:
    watcher.step()
    served = watcher.holder.served
    assert served
    image = registry.training_set.images[5]
    folder = registry.files_of(served.version)
    again = read_bundle(folder, digest=served.version.digest)
    assert served.bundle.predict_unchecked([image]) == again.predict_unchecked([image])


@pytest.mark.parametrize(
    ("answer", "taken"), [(NotAChestXray("a generated one", "unlike-training"), True), (MemoryError("too much"), False)]
)
def test_a_version_that_breaks_as_a_request_asks_it_is_not_taken_and_one_that_refuses_the_generated_picture_is(
    registry: Registry, watcher: Watcher, monkeypatch: pytest.MonkeyPatch, answer: Exception, taken: bool
) -> None:
    watcher.step()
    first, second = registry.versions[:2]

    def score(bundle: Bundle, image: bytes):
        raise answer

    monkeypatch.setattr(Bundle, "score", score)
    registry.promote(second)
    watcher.step()
    assert version_served(watcher) == (second if taken else first).version
    assert (watcher.holder.failure is None) == taken


@pytest.fixture
def corrupt(registry: Registry) -> ModelVersion:
    version = registry.add(0.5)
    estimator = registry.files_of(version) / "estimator.skops"
    content = bytearray(estimator.read_bytes())
    content[len(content) // 2] ^= 0xFF
    estimator.write_bytes(content)
    return version


def test_a_corrupt_version_is_refused_by_name_and_the_old_one_stays(
    registry: Registry, watcher: Watcher, corrupt: ModelVersion
) -> None:
    watcher.step()
    before = watcher.holder.served
    registry.promote(corrupt)
    watcher.step()
    failure = watcher.holder.failure
    assert watcher.holder.served is before
    assert failure
    assert (failure.code, failure.version) == ("refused", corrupt.version)
    assert "digest" in failure.detail
    assert "rollback" in failure.remedy
    registry.promote(registry.versions[1])
    watcher.step()
    assert version_served(watcher) == registry.versions[1].version
    assert watcher.holder.failure is None


def test_a_cold_start_on_a_corrupt_production_takes_the_last_verified_model(
    registry: Registry, tmp_path: Path, corrupt: ModelVersion
) -> None:
    watcher_of(registry.settings, tmp_path / "cache").step()
    registry.promote(corrupt)
    cold = watcher_of(registry.settings, tmp_path / "cache")
    cold.step()
    assert version_served(cold) == registry.versions[0].version
    assert cold.holder.served
    assert cold.holder.served.source == "disk"
    assert cold.holder.failure
    assert cold.holder.failure.code == "refused"


def test_a_refused_version_is_tried_again_more_and_more_rarely(
    registry: Registry, watcher: Watcher, corrupt: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher.step()
    registry.promote(corrupt)
    tries = []
    monkeypatch.setattr(watcher, "_replace", lambda wanted, real=watcher._replace: (tries.append(1), real(wanted)))
    for _ in range(32):
        watcher.step()
    assert len(tries) == 5  # at steps 1, 3, 7, 15 and 31


def test_a_version_whose_files_are_away_is_served_once_they_are_back(registry: Registry, watcher: Watcher) -> None:
    watcher.step()
    version = registry.add(0.2)
    files = Path(version.source.removeprefix("file://"))
    files.rename(files.with_suffix(".away"))
    registry.promote(version)
    watcher.step()
    assert version_served(watcher) == registry.versions[0].version
    assert watcher.holder.failure
    assert watcher.holder.failure.version == version.version
    files.with_suffix(".away").rename(files)
    for _ in range(4):
        watcher.step()
    assert version_served(watcher) == version.version
    assert watcher.holder.failure is None


def test_without_a_version_in_production_nothing_serves_and_the_remedy_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    watcher = Watcher(Holder(), lookup=lambda: None, cache=VerifiedCache(settings, tmp_path / "cache"))
    watcher.step()
    assert watcher.holder.served is None
    assert watcher.holder.failure
    assert watcher.holder.failure.code == "no-production-version"
    assert "python -m ray_jobs.train" in watcher.holder.failure.remedy  # `make run` needs the port of the page


def test_the_copy_on_disk_is_verified_again_and_a_damaged_one_is_not_served(registry: Registry, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    watcher_of(registry.settings, cache).step()
    (copy,) = [path for path in cache.iterdir() if path.is_dir()]
    (copy / "card.json").write_text("{}")

    def away() -> None:
        raise ConnectionError("away")

    cold = Watcher(Holder(), lookup=away, cache=VerifiedCache(registry.settings, cache))
    cold.step()
    assert cold.holder.served is None
    assert cold.holder.failure
    assert cold.holder.failure.code == "registry-unreachable"
    (cache / "verified.json").write_text('{"version": "not a record"}')
    cold.step()
    assert cold.holder.served is None
    mended = watcher_of(registry.settings, cache)
    mended.step()
    assert version_served(mended) == registry.versions[0].version


def test_a_sound_copy_on_disk_spares_the_download(registry: Registry, tmp_path: Path) -> None:
    watcher_of(registry.settings, tmp_path / "cache").step()
    files = registry.files_of(registry.versions[0])
    shutil.move(files, tmp_path / "elsewhere")
    try:
        warm = watcher_of(registry.settings, tmp_path / "cache")
        warm.step()
        assert version_served(warm) == registry.versions[0].version
        assert warm.holder.failure is None
    finally:
        shutil.move(tmp_path / "elsewhere", files)


def test_a_registry_that_goes_away_leaves_the_model_serving_and_a_cold_start_takes_the_copy_on_disk(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = MlflowUi(registry.settings.model_copy(update={"mlflow_port": free_port()}), tmp_path / "mlflow.log")
    try:
        until(server.answers, seconds=120)
        remote = registry.settings.model_copy(update={"mlflow_tracking_uri": server.url})
        watcher = watcher_of(remote, tmp_path / "cache")
        watcher.step()
        assert version_served(watcher) == registry.versions[0].version
    finally:
        server.stop()
    watcher.step()
    assert version_served(watcher) == registry.versions[0].version
    assert watcher.holder.failure
    assert watcher.holder.failure.code == "registry-unreachable"
    cold = watcher_of(remote, tmp_path / "cache")
    cold.step()
    assert version_served(cold) == registry.versions[0].version
    assert cold.holder.served
    assert cold.holder.served.source == "disk"
    stranger = watcher_of(remote.model_copy(update={"model_name": "another"}), tmp_path / "cache")
    stranger.step()
    assert version_served(stranger) is None


def test_a_first_look_that_takes_too_long_leaves_the_last_verified_model_to_answer_until_it_ends(
    registry: Registry, tmp_path: Path
) -> None:
    first, second = registry.versions[:2]
    watcher_of(registry.settings, tmp_path / "cache").step()
    look = threading.Event()

    def slow() -> ModelVersion:
        look.wait(60)
        return second

    cold = Watcher(Holder(), lookup=slow, cache=VerifiedCache(registry.settings, tmp_path / "cache"), poll_s=0.05)
    cold.start()
    try:
        assert not cold.wait(0)
        assert version_served(cold) == first.version
        assert cold.holder.served
        assert cold.holder.served.source == "disk"
        look.set()
        until(lambda: version_served(cold) == second.version)
    finally:
        look.set()
        cold.stop()


def test_the_last_verified_model_does_not_replace_what_the_look_has_brought_while_it_was_read(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = registry.versions[1]
    watcher_of(registry.settings, tmp_path / "cache").step()
    cache = VerifiedCache(registry.settings, tmp_path / "cache")
    cold = Watcher(Holder(), lookup=lambda: second, cache=cache)
    recalled = cache.recall()

    def recall() -> object:
        cold.step()
        return recalled

    monkeypatch.setattr(cache, "recall", recall)
    assert not cold.wait(0)
    assert version_served(cold) == second.version


def test_a_version_that_production_left_while_it_was_fetched_is_not_taken(registry: Registry, tmp_path: Path) -> None:
    first, second, third = registry.versions[:3]
    answers = iter([first, first, second, third, third, third])
    cache = VerifiedCache(registry.settings, tmp_path / "cache")
    watcher = Watcher(Holder(), lookup=lambda: next(answers), cache=cache)
    watcher.step()
    assert version_served(watcher) == first.version
    watcher.step()  # asked for the second, and while it was fetched Production became the third
    assert version_served(watcher) == first.version
    watcher.step()
    assert version_served(watcher) == third.version


def test_a_replica_that_serves_nothing_yet_takes_what_it_fetched_though_production_moved_on_meanwhile(
    registry: Registry, tmp_path: Path
) -> None:
    first, second = registry.versions[:2]
    answers = iter([first, second, second, second])
    cache = VerifiedCache(registry.settings, tmp_path / "cache")
    watcher = Watcher(Holder(), lookup=lambda: next(answers), cache=cache)
    watcher.step()
    assert version_served(watcher) == first.version
    watcher.step()
    assert version_served(watcher) == second.version


def test_metrics_and_log_tell_of_a_failure_to_follow_and_of_its_end(
    registry: Registry, tmp_path: Path, corrupt: ModelVersion, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="serve")
    metrics, cache = Metrics(), VerifiedCache(registry.settings, tmp_path / "cache")
    watcher = Watcher(Holder(), lookup=lambda: production(registry.settings), cache=cache, metrics=metrics)
    watcher.step()
    registry.promote(corrupt)
    watcher.step()
    text = metrics.render().decode()
    assert 'hm_swap_failures_total{code="refused"} 1.0' in text
    assert "hm_following_production 0.0" in text
    assert f"hm_serving_version {float(registry.versions[0].version)}" in text
    registry.promote(registry.versions[0])
    watcher.step()
    text = metrics.render().decode()
    assert "hm_following_production 1.0" in text
    assert 'hm_swaps_total{source="registry"} 1.0' in text
    messages = [record.getMessage() for record in caplog.records]
    assert any("keeps serving" in message for message in messages)
    assert any("followed again. The failure was: refused" in message for message in messages)
