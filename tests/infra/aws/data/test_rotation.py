"""A real Postgres changes its password under a client that MLflow uses, by TLS that is verified: nothing breaks."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy

from infra.aws.network import certificate
from infra.settings import ROOT
from tests.serve.support.waiting import until

PROGRAM = ROOT / "compose" / "images" / "database-password"
pytestmark = pytest.mark.skipif(shutil.which("initdb") is None, reason="PostgreSQL's server is not on the PATH")
USER = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []  # a server of Postgres refuses to be root


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that takes TLS and a password, `first`; what a client needs is in the environment."""
    made = certificate.make("test", ["database.test"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:  # a socket's path has to be short
        folder = Path(name)
        for file, text in {"pw": "first", "server.key": made.key, "server.crt": made.certificate}.items():
            (folder / file).write_text(text)
            (folder / file).chmod(0o600)
        (folder / "authority.pem").write_text(made.authority)
        if USER:
            subprocess.run(["chown", "-R", "nobody", name], check=True)
        tls = f"-c ssl=on -c ssl_cert_file={name}/server.crt -c ssl_key_file={name}/server.key"
        options = f"-p {port} -k {name} -h 127.0.0.1 {tls}"
        control = [*USER, "pg_ctl", "-D", f"{name}/data", "-w"]
        making = ["initdb", "-D", f"{name}/data", "-U", "mlflow", "-A", "scram-sha-256", f"--pwfile={name}/pw"]
        subprocess.run([*USER, *making], check=True, capture_output=True)
        subprocess.run([*control, "-o", options, "-l", f"{name}/log", "start"], check=True, capture_output=True)
        monkeypatch.setenv("PGSSLMODE", "verify-full")
        monkeypatch.setenv("PGSSLROOTCERT", f"{name}/authority.pem")
        monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
        yield f"postgresql+psycopg2://mlflow@database.test:{port}/postgres"
        subprocess.run([*control, "-m", "fast", "stop"], check=True, capture_output=True)


@pytest.fixture
def keeper(aws_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Secrets Manager with the password, and the program that follows it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws_server)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    monkeypatch.setenv("DATABASE_PASSWORD_EVERY_S", "0.2")
    manager = boto3.client("secretsmanager")
    made = manager.create_secret(Name=f"rds!{tmp_path.name}", SecretString=secret("first"))
    monkeypatch.setenv("DATABASE_SECRET", made["ARN"])
    subprocess.run([sys.executable, PROGRAM], check=True)
    process = subprocess.Popen([sys.executable, PROGRAM, "--keep"])
    yield manager
    process.kill()
    process.wait()


def secret(password: str) -> str:
    return json.dumps({"username": "mlflow", "password": password})


def connect(address: str) -> sqlalchemy.Connection:
    return sqlalchemy.create_engine(address, poolclass=sqlalchemy.pool.NullPool).connect()


def test_new_connections_follow_the_password_and_old_ones_go_on(address: str, keeper):
    old = connect(address)
    assert old.execute(sqlalchemy.text("select ssl from pg_stat_ssl where pid = pg_backend_pid()")).scalar() is True
    old.execute(sqlalchemy.text("alter user mlflow password 'second'"))
    old.commit()
    with pytest.raises(sqlalchemy.exc.OperationalError, match="password authentication failed"):
        connect(address)
    keeper.put_secret_value(SecretId=os.environ["DATABASE_SECRET"], SecretString=secret("second"))

    def new_one_works() -> bool:
        with suppress(sqlalchemy.exc.OperationalError), connect(address) as new:
            return new.execute(sqlalchemy.text("select 1")).scalar() == 1
        return False

    until(new_one_works)  # the keeper asks for the secret now and then
    assert old.execute(sqlalchemy.text("select 2")).scalar() == 2
    old.close()


def test_a_server_that_its_authority_does_not_vouch_for_is_refused(
    address: str, keeper, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(sqlalchemy.exc.OperationalError, match="does not match host name"):
        connect(address.replace("database.test", "other.test"))
    monkeypatch.setenv("PGSSLROOTCERT", str(ROOT / "compose" / "images" / "rds-authorities.pem"))
    with pytest.raises(sqlalchemy.exc.OperationalError, match="certificate verify failed"):
        connect(address)
