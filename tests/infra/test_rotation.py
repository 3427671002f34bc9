"""Another value of a secret: what is written, who starts anew, and what is told of what cannot be changed so."""

import os
from pathlib import Path

import boto3
import pytest

from infra import stack
from infra.aws.account import commands
from infra.commands import rotation
from infra.stack import StackError
from tests.infra.support.recorded import SECRETS, record


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of a stack, as Pulumi would keep them."""
    found = {"rayToken": "a token", "apiKeys": "ana:0123456789abcdef,clinic:fedcba9876543210"}
    monkeypatch.setattr(stack, "read_setting", lambda name, _: found.get(name))
    monkeypatch.setattr(stack, "set_secret", lambda _, name, text: found.update({name: text}))

    def run(*words: str, text: str | None = None) -> None:
        assert words[:2] == ("config", "rm")
        found.pop(words[2])

    monkeypatch.setattr(stack, "run_pulumi", run)
    return found


def test_on_aws_a_secret_gets_another_value_and_those_who_use_it_are_named(settings: dict[str, str], tmp_path: Path):
    told = rotation.rotate("aws", "ray-token", tmp_path)
    assert len(settings["ray-token"]) == 48
    assert "restarts ray-head, ray-worker, jupyter, model-training; jobs that run stop, and resume" in told
    told = rotation.rotate("aws", "api-keys", tmp_path)
    assert [pair.split(":")[0] for pair in settings["api-keys"].split(",")] == ["ana", "clinic"]
    assert told.endswith("restarts webapp.")
    assert not list(tmp_path.iterdir())


def test_every_secret_of_a_stack_can_be_changed(settings: dict[str, str], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(commands, "rotate_database_password", lambda _: None)
    settings["tlsCertificate"] = "a certificate"
    for name in rotation.rotatable("aws"):
        assert rotation.rotate("aws", name, tmp_path)
    assert "tlsCertificate" not in settings
    with pytest.raises(
        StackError, match=r"SECRET is 'password'; it takes one of database-password, certificate, ray-tok"
    ):
        rotation.rotate("aws", "password", tmp_path)


def test_a_certificate_that_acm_has_is_not_made_anew(settings: dict[str, str], tmp_path: Path):
    settings["hostedZoneId"] = "Z1"
    with pytest.raises(StackError, match=r"The certificate of aws is not one that `make stack` makes; AWS has it"):
        rotation.rotate("aws", "certificate", tmp_path)


@pytest.mark.parametrize("name", ["signing-key", "trusted-key"])
def test_a_team_s_own_key_is_not_made_for_it(name: str, tmp_path: Path):
    with pytest.raises(StackError, match=r"is the team's own: pulumi config set --secret \w+Key --stack aws < FILE"):
        rotation.rotate("aws", name, tmp_path)


def test_rds_is_asked_for_another_password(aws_server: str, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    rds = boto3.client("rds", endpoint_url=aws_server, region_name="ap-southeast-2")
    rds.create_db_instance(
        DBInstanceIdentifier="hm-mlflow-database-1",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        MasterUsername="mlflow",
        ManageMasterUserPassword=True,
        AllocatedStorage=20,
    )
    asked = []
    rds.meta.events.register("before-parameter-build.rds.ModifyDBInstance", lambda params, **_: asked.append(params))
    monkeypatch.setattr(commands, "regional", lambda _: lambda __: rds)
    monkeypatch.setattr(commands, "outputs", lambda _: {"cluster": "c", "database": "hm-mlflow-database-1"})
    monkeypatch.setattr(stack, "settings_of", lambda _: {"environment": "dev"})
    monkeypatch.setattr(stack, "read_setting", lambda *_: None)
    commands.rotate_database_password("aws")
    [said] = asked
    assert said["RotateMasterUserPassword"]
    assert said["ApplyImmediately"]


@pytest.fixture
def commands_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on the PATH, with a `docker` for which only `ps` works and says that nothing runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    put(folder / "docker", '[ "$1" = ps ] && exit 0\ncat >/dev/null\necho No such container >&2\nexit 1')
    return folder


def put(command: Path, script: str) -> None:
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def test_here_a_file_gets_another_value_and_what_spells_it_follows(tmp_path: Path, commands_here: Path):
    put(commands_here / "pulumi", "exit 0")
    told = rotation.rotate("local", "object-store-password", tmp_path)
    first = (tmp_path / "object-store-credentials").read_text()
    assert (tmp_path / "object-store-password").read_text() in first
    for service in ("minio", "mlflow", "ray-head", "webapp"):  # the store itself, and those with its credentials
        assert service in told
    rotation.rotate("local", "object-store-password", tmp_path)
    assert (tmp_path / "object-store-credentials").read_text() != first


def test_here_postgres_is_told_first_and_by_no_argument(tmp_path: Path, commands_here: Path):
    there = '[ "$1" = ps ] && { echo hm-mlflow-try-postgres-1; exit; }'
    put(commands_here / "docker", f'{there}\necho "$@" >{tmp_path}/typed\ncat >{tmp_path}/read')
    rotation.rotate("try", "database-password", tmp_path / "secrets")
    new = (tmp_path / "secrets" / "database-password").read_text()
    assert (tmp_path / "read").read_text() == f"ALTER USER mlflow PASSWORD '{new}';\n"
    typed = (tmp_path / "typed").read_text()
    # By the name that it has, which Compose makes otherwise than Pulumi; and its image may ask for the password.
    assert typed.startswith("exec --interactive hm-mlflow-try-postgres-1 sh -c PGPASSWORD=$(cat ")
    assert " psql --quiet " in typed
    assert new not in typed


@pytest.mark.usefixtures("commands_here")
def test_here_nothing_changes_where_postgres_does_not_answer(tmp_path: Path):
    (tmp_path / "database-password").write_text("the first")
    with pytest.raises(
        StackError, match=r"so nothing was changed: No such container. It has to run: make up STACK=local"
    ):
        rotation.rotate("local", "database-password", tmp_path)
    assert (tmp_path / "database-password").read_text() == "the first"


def test_where_there_is_no_pulumi_compose_s_command_restarts_those_that_are_there(
    tmp_path: Path, commands_here: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", f"{commands_here}:/usr/bin:/bin")
    assert rotation.rotate("local", "ray-token", tmp_path).endswith("Nothing that uses it is there.")
    names = r"hm-mlflow-ray-head-1\nhm-mlflow-ray-worker-1\nhm-mlflow-ray-worker-2\n"
    put(commands_here / "docker", f'case "$*" in *ray-*) printf \'{names}\' | grep -E "${{6#name=}}";; esac\nexit 0')
    told = rotation.rotate("local", "ray-token", tmp_path)
    assert "jobs that run stop, and resume" in told
    assert told.endswith("docker compose up --detach --no-deps --force-recreate ray-head ray-worker")


def test_in_docker_those_who_use_a_secret_are_made_anew_and_nobody_else():
    def labels(**settings: str) -> dict[str, str]:
        made = record(login="true", keys="on", **settings).of("Container")
        return {name: one.inputs["labels"][0]["value"].value for name, one in made.items() if "labels" in one.inputs}

    first, other = labels(), labels(apiKeys="another value")
    assert {name for name in first if first[name] != other[name]} == {"hm-mlflow-webapp"}
    assert not any(value in label for label in first.values() for value in SECRETS.values())
