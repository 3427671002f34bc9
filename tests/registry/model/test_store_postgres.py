"""The first use of MLflow's database on a real Postgres, by several processes at once."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from registry.settings import ROOT

IMAGE = "postgres:15-bookworm"  # the one that `infra.local.stores` runs

_FIRST_USE = """
import sys
from registry.model.store import connected
client = connected(sys.argv[1], variable="MLFLOW_TRACKING_URI")
print(len(client.search_experiments()), len(client.search_registered_models()))
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database in a container of its own."""
    pytest.importorskip("psycopg2", reason="psycopg2, the driver of Postgres, is not installed")
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip(reason="no Docker here")
    if subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        pytest.skip(reason=f"Docker has no image {IMAGE} here: docker pull {IMAGE}")
    named = [f"--env=POSTGRES_{name}=mlflow" for name in ("USER", "PASSWORD", "DB")]
    container = _said("docker", "run", "--rm", "--detach", "--publish", "127.0.0.1::5432", *named, IMAGE)
    try:
        host = _said("docker", "port", container, "5432/tcp")
        address = f"postgresql+psycopg2://mlflow:mlflow@{host}/mlflow"
        _wait_for(address, seconds=120)
        yield address
    finally:
        _said("docker", "rm", "--force", "--volumes", container)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _wait_for(address: str, *, seconds: float) -> None:
    engine, end = sa.create_engine(address, poolclass=sa.NullPool), time.monotonic() + seconds
    while True:
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            assert time.monotonic() < end, f"{address} takes no connection"
            time.sleep(0.5)
        else:
            return


def test_three_first_uses_at_once_all_find_the_same_whole_database(postgres):
    command = [sys.executable, "-c", _FIRST_USE, postgres]
    uses = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ends = [(use, *use.communicate(timeout=400)) for use in uses]
    for use, said, complaints in ends:
        assert (use.returncode, said.split()) == (0, ["1", "0"]), complaints
        assert "Traceback" not in complaints
    with sa.create_engine(postgres).connect() as connection:
        assert connection.scalar(sa.text("SELECT COUNT(*) FROM experiments")) == 1
        assert connection.scalar(sa.text("SELECT COUNT(*) FROM alembic_version")) == 1
