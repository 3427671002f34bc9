"""The first use of MLflow's database: by several at once, interrupted, and on files that are none."""

import multiprocessing
import os
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from filelock import FileLock

from registry.addresses import sqlite_address
from registry.model import store
from registry.model.store import StoreError, connected
from registry.model.versions import client
from registry.production.current import production
from registry.settings import Settings

VARIABLE = "MLFLOW_TRACKING_URI"


def _first_job(settings: Settings, start: float, found: "multiprocessing.Queue[str]") -> None:
    time.sleep(max(0.0, start - time.time()))  # until all of them have started, so that they come at once
    try:
        production(settings)
        client(settings).search_experiments()
        found.put("ok")
    except BaseException as error:
        found.put(f"{type(error).__name__}: {error}")


def test_jobs_that_come_at_once_all_get_the_database(tmp_path):
    settings = Settings(mlflow_tracking_uri=sqlite_address(tmp_path / "mlflow.db"), state_uri=str(tmp_path))
    (tmp_path / "mlflow.db").touch()
    context = multiprocessing.get_context("fork")
    found, start = context.Queue(), time.time() + 0.2
    jobs = [context.Process(target=_first_job, args=(settings, start, found)) for _ in range(3)]
    for job in jobs:
        job.start()
    assert [found.get(timeout=300) for _ in jobs] == ["ok"] * 3
    for job in jobs:
        job.join()


def test_a_first_use_that_was_killed_is_kept_aside_and_one_that_is_killed_now_leaves_nothing(tmp_path, empty_database):
    file = tmp_path / "mlflow.db"
    shutil.copy(empty_database, file)
    with sqlite3.connect(file) as database:  # as a migration leaves it that was killed on its way
        database.execute("DELETE FROM experiments")
        database.execute("DROP TABLE registered_model_aliases")
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    database.close()
    before = file.read_bytes()
    Path(f"{file}-shm").write_bytes(b"of the old one")
    settings = Settings(mlflow_tracking_uri=sqlite_address(file), state_uri=str(tmp_path))
    context = multiprocessing.get_context("fork")
    job = context.Process(target=_first_job, args=(settings, 0.0, context.Queue()))
    job.start()
    while not list(tmp_path.glob(".mlflow.db-*/mlflow.db")):  # it migrates
        assert job.is_alive()
        time.sleep(0.01)
    os.kill(job.pid, signal.SIGKILL)
    job.join()
    assert not file.exists()
    (aside,) = tmp_path.glob("mlflow.db.unfinished-*Z")
    assert aside.read_bytes() == before
    assert not Path(f"{file}-shm").exists()
    assert production(settings) is None
    assert file.exists()


def test_a_database_with_records_is_left_as_it_is_whatever_it_lacks(tmp_path, empty_database):
    file = tmp_path / "mlflow.db"
    shutil.copy(empty_database, file)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    database.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"out-of-date database schema .*mlflow db upgrade") as caught:
        client(Settings(mlflow_tracking_uri=sqlite_address(file))).search_experiments()
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database at all", b"SQLite format 3\0" + bytes(200)])
def test_a_file_that_is_no_database_is_named_in_a_line(tmp_path, content):
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=rf"MLFLOW_TRACKING_URI is .*{file.name}") as caught:
        connected(sqlite_address(file), variable=VARIABLE)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == content


def test_who_waits_is_told_and_does_not_wait_for_ever(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(store, "_WAIT_S", 0.01)
    monkeypatch.setattr(store, "_PATIENCE_S", 0.05)
    file = tmp_path / "mlflow.db"
    with (
        FileLock(f"{file}.lock"),
        pytest.raises(StoreError, match=r"has held .*mlflow\.db\.lock for 0.05 s; end the job"),
    ):
        connected(sqlite_address(file), variable=VARIABLE)
    assert "Another process is making the tracking database" in caplog.text


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("postgresql+nosuchdriver:///m", "cannot be used: .*nosuchdriver"),
        ("mysql+mysqlconnector:///m", "whose driver is not installed here .*; install it, or name one that is"),
        ("mlruns", "cannot be used: .*mlruns"),
        ("uc:databricks", "cannot be used: .*Unity Catalog"),
    ],
)
def test_what_mlflow_cannot_open_is_told_with_the_variable(address, why):
    with pytest.raises(StoreError, match=rf"(?s)^{VARIABLE} is '{re.escape(address)}', (which |){why}"):
        connected(address, variable=VARIABLE)


def test_a_place_where_no_lock_can_be_made_is_told_and_not_waited_for(caplog):
    with pytest.raises(StoreError, match=r"'sqlite:////proc/m.db', which cannot be used: "):
        connected("sqlite:////proc/m.db", variable=VARIABLE)
    assert not caplog.records


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///:memory:"])
def test_a_database_that_would_be_gone_with_the_job_is_refused(address):
    refusal = f"{VARIABLE} is '{address}', which cannot be used: it names no file"
    with pytest.raises(StoreError, match=re.escape(refusal)):
        connected(address, variable=VARIABLE)
