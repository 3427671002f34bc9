"""Paths and addresses of this machine, both ways."""

import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from registry.addresses import database_file, host_port, shown, sqlite_address
from registry.model.versions import client
from registry.settings import Settings
from registry.state import local_folder, open_state

ODD = "a b%20c#d?e=f&g+h;é"


@pytest.mark.parametrize("path", [f"/{ODD}/m.db", "/plain/m.db", "relative/m.db", f"{ODD}.db", "/100%/m.db"])
def test_a_path_becomes_an_address_and_comes_back(path):
    assert database_file(sqlite_address(Path(path))) == Path(path)


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("sqlite:////data/x.db", "/data/x.db"),
        ("sqlite:////my%20data/x.db?timeout=3", "/my data/x.db"),
        ("sqlite:////my data/x.db", "/my data/x.db"),
        ("sqlite+pysqlite:///x.db", "x.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("http://127.0.0.1:5000", None),
        ("postgresql://u@h/x.db", None),
    ],
)
def test_the_file_of_a_database_is_what_sqlalchemy_opens(address, file):
    assert database_file(address) == (Path(file) if file else None)


@pytest.mark.parametrize("address", [sqlite_address, lambda file: f"sqlite:///{quote(str(file))}"])
def test_mlflow_keeps_its_records_in_a_folder_of_any_name(tmp_path, address, empty_database):
    file = tmp_path / ODD / "mlflow.db"
    file.parent.mkdir()
    shutil.copy(empty_database, file)
    settings = Settings(mlflow_tracking_uri=address(file), state_uri=str(tmp_path))
    experiment = client(settings).create_experiment("x")
    assert client(settings).get_experiment(experiment).name == "x"
    assert {path.name for path in tmp_path.iterdir()} == {ODD}
    assert {path.name for path in file.parent.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.parametrize("name", ["my state", ODD])
def test_state_may_be_a_file_address(tmp_path, name):
    folder = tmp_path / name
    assert open_state(folder.as_uri()).base == str(folder)
    assert local_folder(folder.as_uri()) == folder
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_a_key_of_a_bucket_is_taken_as_it_is_written(bucket, s3):
    state = open_state(f"s3://{bucket}/{ODD}/state/")
    state.write(state.path("x y#.json"), b"1")
    assert state.read(state.path("x y#.json")) == b"1"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [f"{ODD}/state/x y#.json"]


def test_a_password_is_not_shown():
    assert shown("postgresql://mlflow:s3cret@db:5432/mlflow") == "postgresql://mlflow:***@db:5432/mlflow"
    assert shown("postgresql://mlflow:s3/c@et@db/mlflow") == "postgresql://mlflow:***@db/mlflow"
    assert shown("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


def test_ipv6_stands_in_brackets():
    assert (host_port("::1", 8080), host_port("127.0.0.1", 8080)) == ("[::1]:8080", "127.0.0.1:8080")
