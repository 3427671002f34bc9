"""`make backup` and `make restore` of a stack: the jobs are told where everything is, as each platform has it."""

import os
import subprocess
from pathlib import Path

import pytest

from infra import stack
from infra.aws.account import commands
from infra.commands import backups
from infra.settings import ROOT

AWS = {
    "database": "hm-mlflow-database-1",
    "artefacts": "s3://hm-mlflow-artefacts-1-eu",
    "state": "s3://hm-mlflow-state-1-eu",
}


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stand-in for Python was told, after `docker` named a container; it says that a snapshot was found."""
    told = tmp_path / "typed"
    for name, lines in {
        "docker": "echo hm-mlflow-postgres-1",
        "python": f'echo "$STATE_URI" "$@" >>{told}\necho "snapshot a-snapshot"',
    }.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{lines}\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(backups.sys, "executable", str(tmp_path / "bin" / "python"))
    (tmp_path / "object-store-credentials").write_text("[default]\n")
    return told


def test_in_docker_the_database_is_reached_through_its_container(typed: Path, tmp_path: Path):
    assert backups.backup("local", "../backups", "7", tmp_path) == 0
    words = typed.read_text().split()
    assert words[:6] == ["s3://hm-mlflow-state", "-m", "ray_jobs.backup", "--to", "../backups", "--keep"]
    told = typed.read_text()
    assert "--database postgresql://mlflow@/mlflow --through docker exec --interactive hm-mlflow-postgres-1 sh" in told
    assert f"--endpoint http://localhost:9000 --credentials {tmp_path}/object-store-credentials" in typed.read_text()
    assert {f"stack={stack.STATE}", f"secrets={tmp_path}", f"settings={ROOT / 'Pulumi.local.yaml'}"} <= set(words)


def test_with_compose_the_project_has_the_name_that_compose_was_given(
    typed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "bin" / "docker").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\necho a-container\n')
    for given, project in {"": "hm-mlflow", "xrays": "xrays"}.items():
        monkeypatch.setenv("COMPOSE_PROJECT_NAME", given)
        assert backups.backup("local", "../backups", "", tmp_path) == 0
        assert f"name=^{project}-postgres(" in (tmp_path / "asked").read_text()
        assert "s3://hm-mlflow-artefacts" in typed.read_text()
    assert backups.backup("mine", "../backups", "", tmp_path) == 0
    assert "name=^hm-mlflow-mine-postgres(" in (tmp_path / "asked").read_text()


def test_a_restore_leaves_the_stack_s_own_state_alone_unless_it_is_asked_for(typed: Path, tmp_path: Path):
    backups.restore("local", "../backups", "", "", tmp_path)
    assert "--from ../backups --only database artefacts state --database" in typed.read_text()
    typed.unlink()
    backups.restore("local", "../backups", "a-backup", "stack settings", tmp_path)
    assert "--backup a-backup --only stack settings --folder" in typed.read_text()
    assert "--database" not in typed.read_text()


def test_on_aws_the_database_is_a_snapshot_and_the_next_up_makes_it_from_that(
    typed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    set_to = []
    monkeypatch.setattr(commands, "outputs", lambda _: AWS)
    monkeypatch.setattr(stack, "read_setting", lambda *_: "eu-west-1")
    monkeypatch.setattr(stack, "run_pulumi", lambda *words: set_to.append(words))

    assert backups.restore("aws", "s3://kept", "", "", tmp_path) == 0

    assert typed.read_text().startswith(
        "s3://hm-mlflow-state-1-eu -m ray_jobs.restore --from s3://kept --only database"
    )
    assert "--database rds:hm-mlflow-database-1 --artefacts s3://hm-mlflow-artefacts-1-eu" in typed.read_text()
    assert set_to == [("config", "set", "restoreDatabase", "a-snapshot", "--stack", "aws")]
    assert "make up STACK=aws makes the database from it" in capsys.readouterr().out


def test_without_a_place_or_a_stack_that_is_up_the_remedy_is_told(
    typed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SystemExit, match="TO is not set; name a folder or bucket for backups: make backup"):
        backups.backup("local", "", "", tmp_path)
    with pytest.raises(SystemExit, match="FROM is not set"):
        backups.restore("local", "", "", "", tmp_path)
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    with pytest.raises(stack.StackError, match="aws is not up"):
        backups.backup("aws", "x", "", tmp_path)
    assert not typed.exists()


def test_make_tells_a_stack_from_what_make_run_keeps(tmp_path: Path):
    def planned(*words: str) -> str:
        command = ["make", "--dry-run", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert '-m ray_jobs.backup --to "x" --keep 3' in planned("backup", "TO=x", "KEEP=3")
    assert '-m infra backup local "x" ""' in planned("backup", "TO=x", "STACK=local")
    assert '-m ray_jobs.restore --from "x" --backup b --only state' in planned(
        "restore", "FROM=x", "BACKUP=b", "PARTS=state"
    )
    assert '-m infra restore aws "x" "" ""' in planned("restore", "FROM=x", "STACK=aws")
