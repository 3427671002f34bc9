"""The program beside MLflow that keeps the database's password right, against a simulated Secrets Manager."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from infra.settings import ROOT
from tests.serve.support.waiting import until

PROGRAM = ROOT / "compose" / "images" / "database-password"


@pytest.fixture
def manager(aws_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name, value in {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws_server,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PGPASSFILE": str(tmp_path / "pgpass"),
        "DATABASE_PASSWORD_EVERY_S": "0.1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("secretsmanager")
    made = client.create_secret(Name=f"rds!{tmp_path.name}", SecretString=secret("first"))
    monkeypatch.setenv("DATABASE_SECRET", made["ARN"])
    return client


def secret(password: str) -> str:
    return json.dumps({"username": "mlflow", "password": password})


def until_it_says(file: Path, line: str) -> None:
    until(lambda: file.exists() and file.read_text() == line)  # it asks for the secret now and then


def test_once_it_writes_what_postgres_reads_for_its_owner_alone(manager, tmp_path: Path):
    manager.put_secret_value(SecretId=os.environ["DATABASE_SECRET"], SecretString=secret(r"a:b\c"))
    subprocess.run([sys.executable, PROGRAM], check=True)
    file = tmp_path / "pgpass"
    assert file.read_text() == "*:*:*:mlflow:a\\:b\\\\c\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["pgpass"]


def test_once_it_fails_loudly_where_there_is_no_secret(manager, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_SECRET", "another")
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ResourceNotFoundException" in done.stderr


def test_it_follows_the_password_and_keeps_the_last_one_while_nobody_answers(manager, tmp_path: Path):
    file = tmp_path / "pgpass"
    keeper = subprocess.Popen([sys.executable, PROGRAM, "--keep"], stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        until_it_says(file, "*:*:*:mlflow:first\n")
        manager.put_secret_value(SecretId=os.environ["DATABASE_SECRET"], SecretString=secret("second"))
        until_it_says(file, "*:*:*:mlflow:second\n")
        manager.put_secret_value(SecretId=os.environ["DATABASE_SECRET"], SecretString="not JSON")
        assert "database-password: " in keeper.stderr.readline()
        assert file.read_text() == "*:*:*:mlflow:second\n"
        manager.put_secret_value(SecretId=os.environ["DATABASE_SECRET"], SecretString=secret("third"))
        until_it_says(file, "*:*:*:mlflow:third\n")
    finally:
        keeper.kill()
        keeper.communicate()
