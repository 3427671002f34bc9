"""What a person is told who gave a wrong setting: one message that names it, exit code 1, no traceback."""

import importlib
import os
import pkgutil
import socket
import sqlite3
import subprocess
import sys

import alembic.util
import pytest
import ray
import sqlalchemy
from mlflow.exceptions import MlflowException
from ray.exceptions import RayTaskError

import ray_jobs
import registry
from ray_jobs import extract_features, predict, promote, rollback, train
from registry.errors import FixableError
from registry.settings import ROOT, Settings


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a job's main with arguments; returns what it says when it stops, with the exit code that is expected."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    monkeypatch.setenv("RAY_ADDRESS", "")

    def run(job, *arguments: str, code: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", [job.__name__, *arguments])
        with pytest.raises(SystemExit) as stopped:
            job.main()
        said = capsys.readouterr().err
        assert stopped.value.code == code, said
        assert "Traceback" not in said
        return said.strip().splitlines()[-1]

    return run


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("/nowhere/at/all", "folder '/nowhere/at/all' does not exist"),
        ("synthetic:7", "COUNT must be a whole number from 40"),
        ("synthetic:many", "COUNT must be a whole number from 40"),
        ("gopher://host/xrays", "scheme 'gopher' is not known"),
        ("kaggle:nobody", "kaggle:"),
        ("", "DATA_URI is empty"),
        ("  ", "DATA_URI is empty"),
    ],
)
def test_data_that_is_none(run, uri, says):
    message = run(train, "--data", uri)
    assert message.startswith("ray_jobs.train stopped: ")
    assert says in message


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HTTP_PORT", "99999", "HTTP_PORT is '99999'"),
        ("MODEL_NAME", "a b", "MODEL_NAME is 'a b'"),
        ("EXECUTION_ENVIRONMENT", "moon", "EXECUTION_ENVIRONMENT is 'moon'"),
        ("STATE_URI", "ftp://host/state", "STATE_URI is 'ftp://host/state'"),
        ("STATE_URI", "s3://", "STATE_URI is 's3://'"),
        ("STATE_URI", "/proc/no/such/place", "/proc/no"),
        ("MLFLOW_TRACKING_URI", "gopher://host", "gopher"),
        ("MLFLOW_TRACKING_URI", "sqlite:////proc/no/mlflow.db", "/proc/no"),
    ],
)
def test_a_setting_that_is_none(run, monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    assert says in run(train, "--data", "synthetic:60")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAY_ADDRESS", "127.0.0.1:{port}"),
        ("RAY_ADDRESS", "ray://127.0.0.1:{port}"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:{port}"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:{port}"),
    ],
)
def test_an_address_where_nobody_answers_is_told_before_the_work(run, monkeypatch, name, value):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = value.format(port=free.getsockname()[1])
    monkeypatch.setenv("STATE_URI", "s3://bucket/state")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv(name, address)
    monkeypatch.setattr(train, "_job", lambda *_: pytest.fail("the work began"))
    assert f"{name} is '{address}', which does not answer: nobody listens there" in run(train)


@pytest.mark.parametrize("private", [frozenset(), frozenset({"127.0.0.1:9"})], ids=["none", "a server's own"])
def test_auto_without_a_ray_to_share_is_told_with_what_to_do_also_beside_a_private_one(run, monkeypatch, private):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", lambda: private)
    monkeypatch.setattr("ray._private.utils.read_ray_address", lambda _: None)
    message = run(train)
    assert "RAY_ADDRESS is 'auto', and no Ray was started on this machine for jobs to share." in message
    assert "`ray start --head`" in message


@pytest.mark.parametrize(
    "error",
    [
        sqlalchemy.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked")),
        MlflowException("(sqlite3.OperationalError) database is locked\n[SQL: SELECT 1]\n(Background on this error"),
        sqlite3.DatabaseError("database is locked"),
        alembic.util.CommandError("database is locked"),
        RayTaskError("_trial", "Traceback …", MlflowException("database is locked")),
    ],
    ids=lambda error: type(error).__module__,
)
def test_an_error_from_below_mlflow_is_one_line(run, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(train, "_job", fails)
    message = run(train)
    assert message.startswith("ray_jobs.train stopped: ")
    assert "database is locked" in message


def test_a_ray_that_does_not_start_is_one_line(run, monkeypatch):
    def fails(**_):
        raise RuntimeError("Failed to start the raylet:\nmany\nlines")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fails)
    message = run(extract_features, "--data", "synthetic:60")
    assert "stopped: Ray did not start on this machine: Failed to start the raylet. A second try failed" in message


def test_a_folder_without_labels(run, tmp_path):
    (tmp_path / "xrays").mkdir()
    assert "NORMAL" in run(extract_features, "--data", str(tmp_path / "xrays"))


def test_predicting_with_nothing_in_production(run, tmp_path):
    message = run(predict, "--data", "synthetic:60", "--out", str(tmp_path / "out.parquet"))
    assert "No version of pneumonia is in Production; train one with ray_jobs.train" in message


@pytest.mark.parametrize("out", ["out", "out.json", "s3://out.parquet", "s3:out.csv", "gs://bucket/out.csv", ".csv/"])
def test_a_file_of_answers_that_is_none_is_refused_before_any_work(run, out):
    assert "argument --out: " in run(predict, "--data", "synthetic:60", "--out", out, code=2)


def test_a_place_of_answers_where_none_can_be_written_is_told_first(run, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    for out, why in (("folder.csv", "which is a folder"), ("file/out.csv", "where no file can be written")):
        message = run(predict, "--data", "synthetic:60", "--out", str(tmp_path / out))
        assert message.startswith(f"ray_jobs.predict stopped: --out is '{tmp_path / out}', {why}")
    assert {path.name for path in tmp_path.iterdir()} >= {"folder.csv", "file"}


def test_a_bucket_that_is_not_there_is_told_before_anything_is_scored(run, s3):
    message = run(predict, "--data", "synthetic:60", "--out", "s3://nobodys-bucket/out.parquet")
    assert "bucket 'nobodys-bucket' of s3://nobodys-bucket does not exist" in message


def test_promoting_a_version_that_is_not_there(run):
    assert "has no version 7 of pneumonia" in run(promote, "7")


def test_every_error_of_the_registry_and_the_jobs_has_the_one_base():
    for package in (registry, ray_jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name == "registry.model.pyfunc":  # a script of MLflow's, with an effect at import
                continue
            for name, kind in vars(importlib.import_module(module.name)).items():
                ours = isinstance(kind, type) and kind.__module__ == module.name and not name.startswith("_")
                assert not (ours and issubclass(kind, Exception)) or issubclass(kind, FixableError), kind


def test_rolling_back_with_nothing_in_production(run):
    assert "nothing to roll back" in run(rollback)


@pytest.mark.parametrize("arguments", [["--trials", "0"], ["--trials", "x"], ["--seed", "-1"], ["--seed", str(2**32)]])
def test_an_argument_outside_what_it_takes_is_refused_before_any_work(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "--data", "synthetic:60", *arguments])
    with pytest.raises(SystemExit) as stopped:
        train.main()
    assert stopped.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err


def test_a_collector_of_traces_that_is_away_costs_a_job_its_traces_alone(settings: Settings):
    given = {"MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri, "STATE_URI": settings.state_uri}
    given["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    command = [sys.executable, "-m", "ray_jobs.candidates"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | given, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "127.0.0.1:9" in done.stderr, "whose collector it is, is told"


def test_a_job_starts_without_what_only_a_part_of_it_needs():
    modules = [f"ray_jobs.{found.name}" for found in pkgutil.iter_modules(ray_jobs.__path__) if not found.ispkg]
    heavy = ("skops", "matplotlib", "boto3", "mlflow.pyfunc.scoring_server")
    code = f"import sys, {', '.join(modules)}; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
