"""Promotions while the registry is killed: what was acknowledged is there afterwards."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from registry.promotion import Change, history, promote, rollback
from registry.settings import Settings
from registry.versions import client, production, version_of
from tests.serve.support.fault_proxy import MlflowServer
from tests.serve.support.waiting import until


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
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
    acknowledged, attempted = list[Change](), list[int]()

    def promote_until_the_registry_is_away() -> None:
        while True:
            target = versions[len(attempted) % 2]
            attempted.append(target.version)
            try:
                change = promote(settings, target, why=f"attempt {len(attempted)}")
            except MlflowException:
                return
            assert change
            acknowledged.append(change)

    busy = threading.Thread(target=promote_until_the_registry_is_away)
    busy.start()
    until(lambda: len(acknowledged) >= 5, seconds=120)
    server.kill()
    busy.join(120)
    assert not busy.is_alive()
    assert len(attempted) == len(acknowledged) + 1
    server.start()
    recorded = history(settings)
    assert recorded[: len(acknowledged)] == acknowledged
    serves = production(settings)
    assert serves
    # The attempt that got no answer was made or not; nothing else may stand in the place of the last one.
    assert serves.version in (acknowledged[-1].to_version, attempted[-1])
    promote(settings, versions[serves.version % 2], why="after the kill")
    rollback(settings, why="back")
    assert production(settings) == serves
