"""Promotions while the registry is killed: what was acknowledged is there afterwards."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.model.versions import client, version_of
from registry.production.current import production
from registry.production.promotion import promote, rollback
from registry.settings import Settings
from tests.promotions import promoting
from tests.serve.support.fault_proxy import MlflowServer
from tests.serve.support.waiting import until


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Iterator[MlflowServer]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    server = MlflowServer(tmp_path)
    yield server
    server.kill()


def test_no_promotion_that_was_acknowledged_is_lost_where_the_registry_is_killed(
    server: MlflowServer, tmp_path: Path
) -> None:
    settings = Settings(mlflow_tracking_uri=server.url, state_uri=str(tmp_path / "state"))
    client(settings).create_registered_model(settings.model_name)
    for _ in range(2):
        client(settings).create_model_version(settings.model_name, source="s3://nowhere/model")
    versions = [version_of(settings, number) for number in (1, 2)]
    with promoting(settings, versions) as promotions:
        until(lambda: len(promotions.acknowledged) >= 5, seconds=120)
        server.kill()
        until(lambda: promotions.unanswered, seconds=120)
        before = len(promotions.acknowledged)
        server.start()
        until(lambda: len(promotions.acknowledged) > before, seconds=120)
    assert promotions.lost(settings) == []
    assert promotions.explain(settings)
    serves = production(settings)
    assert serves
    promote(settings, versions[serves.version % 2], why="after the kill")
    rollback(settings, why="back")
    assert production(settings) == serves
