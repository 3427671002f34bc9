"""An old database of MLflow is backed up and upgraded, and a failed upgrade changes nothing."""

import sys

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

from ray_jobs import upgrade_database
from registry.model import store
from registry.model.versions import client
from registry.settings import Settings


@pytest.fixture
def old(settings: Settings, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A database two revisions before MLflow's newest, with an experiment."""
    file = tmp_path / "old.db"
    address = f"sqlite:///{file}"
    engine = sa.create_engine(address)
    Base.metadata.create_all(engine)
    config = _get_alembic_config(address)
    revisions = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revisions[2])
        connection.execute(
            sa.text(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
                "VALUES (7, 'of before', 'file:///tmp/x', 'active')"
            )
        )
    engine.dispose()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    monkeypatch.setattr(sys, "argv", ["upgrade_database", "--backup-to", str(tmp_path / "backups")])
    return settings.model_copy(update={"mlflow_tracking_uri": address})


def test_an_old_database_is_backed_up_and_upgraded_with_what_it_holds(old: Settings, tmp_path, capsys):
    upgrade_database.main()

    told = capsys.readouterr().out
    assert "backup  2" in told
    assert "upgraded" in told
    store._ready.clear()
    assert "of before" in [one.name for one in client(old).search_experiments()]
    assert len(list((tmp_path / "backups" / "backups").glob("*.json"))) == 1
    upgrade_database.main()
    assert "is up to date" in capsys.readouterr().out


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(old: Settings, tmp_path, monkeypatch: pytest.MonkeyPatch):
    def half(url: str) -> None:
        with sa.create_engine(url).begin() as connection:
            connection.execute(sa.text("DROP TABLE runs"))
        raise KeyboardInterrupt

    before = (tmp_path / "old.db").read_bytes()
    monkeypatch.setattr(upgrade_database.mlflow_db_upgrade, "callback", half)
    with pytest.raises(SystemExit):
        upgrade_database.main()
    assert (tmp_path / "old.db").read_bytes() == before
