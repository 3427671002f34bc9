"""An alias that is moved outside, and a history that is damaged: told, not followed, and put back."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from registry.errors import HistoryError
from registry.model.verified_cache import VerifiedCache
from registry.model.versions import aliased, client
from registry.production.promotion import history, promote
from registry.settings import Settings
from serve.api import create_app
from serve.metrics import Metrics
from serve.production.lookout import Lookout
from serve.production.model import Holder
from serve.production.watcher import Watcher
from tests.serve.support.models import Registry


class Server:
    """A watcher that looks when it is told to, and the application over what it holds."""

    def __init__(self, settings: Settings, cache: Path) -> None:
        self.metrics, holder = Metrics(), Holder()
        lookout = Lookout(settings)
        self.watcher = Watcher(
            holder,
            lookup=lookout.wanted,
            trouble=lambda: lookout.trouble,
            cache=VerifiedCache(settings, cache),
            metrics=self.metrics,
        )
        self.http = TestClient(create_app(holder, settings=settings, metrics=self.metrics), base_url="http://localhost")

    def look(self, times: int = 1) -> dict:
        """What `/model` tells after some looks."""
        for _ in range(times):
            self.watcher.step()
        return self.http.get("/model").json()


@pytest.fixture
def registry(registry_template: Registry, tmp_path: Path) -> Registry:
    """Version 2 in Production, after version 1, in a copy of the database that is this test's alone."""
    registry = registry_template.copied(tmp_path)
    promote(registry.settings, registry.versions[0], why="first")
    promote(registry.settings, registry.versions[1], why="second")
    return registry


def tamper(settings: Settings, how: str) -> None:
    mlflow_client = client(settings)
    if how == "moved":
        mlflow_client.set_registered_model_alias("pneumonia", "production", "3")
    else:
        mlflow_client.delete_registered_model_alias("pneumonia", "production")
    if how == "made again":
        mlflow_client.set_registered_model_alias("pneumonia", "production", "1")


@pytest.mark.parametrize("how", ["moved", "deleted", "made again"])
def test_a_foreign_hand_on_the_alias_is_told_put_back_and_recorded_while_the_version_stays(
    registry: Registry, tmp_path: Path, how: str
) -> None:
    server = Server(registry.settings, tmp_path / "cache")
    assert server.look()["failure"] is None
    before = len(history(registry.settings))
    tamper(registry.settings, how)
    told = server.look(2)
    assert (told["version"], told["failure"]["code"]) == (2, "alias-moved")
    assert "it is put back" in told["failure"]["detail"]
    assert aliased(registry.settings).version == 2
    assert 'hm_swap_failures_total{code="alias-moved"}' in server.metrics.render().decode()
    assert "outside of the recorded changes" in server.http.get("/?lang=en").text
    changes = history(registry.settings)
    assert len(changes) == before + 1
    assert changes[-1].kind == "alias"
    assert "outside of the history, which says version 2; it was put back" in changes[-1].why
    assert server.look(2)["failure"] is None


def test_with_report_the_alias_is_left_where_it_is_and_told_until_it_is_back(registry: Registry, tmp_path) -> None:
    settings = registry.settings.model_copy(update={"alias_guard": "report"})
    server = Server(settings, tmp_path / "cache")
    server.look()
    tamper(settings, "moved")
    told = server.look(4)
    assert (told["version"], told["failure"]["code"]) == (2, "alias-moved")
    assert "put back" not in told["failure"]["detail"]
    assert aliased(settings).version == 3
    assert "hm_following_production 0.0" in server.metrics.render().decode()
    promote(settings, registry.versions[2], why="on record")
    told = server.look(2)
    assert (told["version"], told["failure"]) == (3, None)


def test_an_older_database_is_told_and_the_newest_record_served(registry: Registry, tmp_path: Path) -> None:
    settings, database = registry.settings, tmp_path / "mlflow.db"
    server = Server(settings, tmp_path / "cache")
    backup = database.read_bytes()
    promote(settings, registry.versions[2], why="third")
    assert server.look()["version"] == 3
    database.write_bytes(backup)
    told = server.look(2)
    assert (told["version"], told["failure"]["code"]) == (3, "history-newer")
    cold = Server(settings, tmp_path / "another cache").look()
    assert (cold["version"], cold["failure"]["code"]) == (3, "history-newer")


def test_a_history_that_says_nothing_any_more_leaves_what_serves(registry: Registry, tmp_path: Path) -> None:
    settings = registry.settings
    server = Server(settings, tmp_path / "cache")
    server.look()
    number = len(history(settings)) - 1
    client(settings).set_registered_model_tag("pneumonia", f"promotion.{number:06d}", "{}")
    next(Path(settings.state_uri).glob(f"history/*/*/{number:06d}.json")).write_text("{}")
    client(settings).set_registered_model_alias("pneumonia", "production", "3")
    told = server.look(2)
    assert (told["version"], told["failure"]["code"]) == (2, "history-damaged")
    with pytest.raises(HistoryError, match=f"record {number} was altered in MLflow"):
        promote(settings, registry.versions[2], why="too early")
