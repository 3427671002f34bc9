"""A registry with a history, and a real Postgres, to back up and to destroy."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from ray_jobs.backups.database import database_of
from ray_jobs.backups.places import FilePlace
from ray_jobs.backups.saved import ARTEFACTS, STATE
from ray_jobs.backups.store import BackupStore
from registry.model.versions import client, register, version_of
from registry.production.promotion import promote
from registry.settings import Settings
from registry.state import open_state
from tests.conftest import new_run

USER = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []  # a server of Postgres refuses to be root


@pytest.fixture
def published(make_bundle: Callable[..., str], tmp_path: Path) -> Callable[[Settings, int], None]:
    """Register versions with files, and put each into Production in turn."""

    def publish(settings: Settings, count: int) -> None:
        for _ in range(count):
            run_id = new_run(settings, tmp_path)
            bundle = tmp_path / f"bundle-{run_id}"
            make_bundle(bundle)
            version = register(settings, run_id=run_id, bundle_folder=bundle)
            promote(settings, version, why=f"the turn of {version.version}")

    return publish


@pytest.fixture
def promoted(tmp_path: Path) -> Callable[[Settings, int], None]:
    """The same by versions whose files nobody reads, which takes a tenth of the time."""

    def publish(settings: Settings, count: int) -> None:
        mlflow_client = client(settings)
        with contextlib.suppress(MlflowException):
            mlflow_client.create_registered_model(settings.model_name)
        for _ in range(count):
            made = mlflow_client.create_model_version(settings.model_name, source="s3://nowhere", tags={"digest": "1"})
            model = tmp_path / "artifacts" / f"model-{made.version}"
            model.mkdir(parents=True)
            for name in ("card.json", *(f"part-{index}" for index in range(24))):
                (model / name).write_text(f"{name} of {made.version}")
            promote(settings, version_of(settings, int(made.version)), why=f"the turn of {made.version}")

    return publish


@pytest.fixture
def store(tmp_path: Path) -> BackupStore:
    """An empty folder for backups."""
    (tmp_path / "backups").mkdir()
    return opened(tmp_path)


def opened(tmp_path: Path) -> BackupStore:
    """The store of that folder, as another process would open it."""
    return BackupStore(open_state(str(tmp_path / "backups")), shown=str(tmp_path / "backups"))


def parts_of(settings: Settings, artefacts: str):
    """The database and the places of a system."""
    places = [
        FilePlace(name=ARTEFACTS, home=artefacts, state=open_state(artefacts)),
        FilePlace(name=STATE, home=settings.state_uri, state=open_state(settings.state_uri)),
    ]
    return {"database": database_of(settings.tracking_uri), "places": places}


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of an empty database on a Postgres of this test's alone."""
    if shutil.which("initdb") is None or shutil.which("pg_dump") is None:
        pytest.skip(reason="PostgreSQL's server and clients are not on the PATH")
    pytest.importorskip("psycopg2", reason="psycopg2, the driver of Postgres, is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:  # a socket's path has to be short
        if USER:
            subprocess.run(["chown", "nobody", folder], check=True)
        control = [*USER, "pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log"]
        making = [*USER, "initdb", "-D", f"{folder}/data", "-U", "mlflow", "-A", "trust", "--no-sync"]
        subprocess.run(making, check=True, capture_output=True)
        options = f"-p {port} -k {folder} -h 127.0.0.1 -c fsync=off"
        subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
        subprocess.run([*control, "-m", "fast", "stop"], check=True, capture_output=True)
