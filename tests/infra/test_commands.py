"""What people type works where a path has a space."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import boto3
import pytest

from infra import __main__ as commands
from infra import stack
from infra.local import container, secrets
from infra.settings import ROOT
from tests.infra.support.recorded import record


def evaluated(line: str, variable: str) -> str:
    """What a shell has in a variable after it has evaluated a line."""
    done = subprocess.run(
        ["bash", "-c", f'{line}\nprintf %s "${variable}"'], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_token_s_exports_are_for_a_shell_to_evaluate(
    monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "X-rays of 'May' $HOME"
    monkeypatch.setattr(secrets, "FOLDER", folder)
    commands._token("local")
    line = capsys.readouterr().out
    assert evaluated(line, "RAY_AUTH_TOKEN_PATH") == str(folder / "ray-token")
    assert evaluated(line, "RAY_AUTH_MODE") == "token"


def test_the_token_s_exports_show_a_key_to_the_page(monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(secrets, "FOLDER", tmp_path)
    (tmp_path / "api-keys").write_text("ana:0123456789abcdef,clinic:fedcba9876543210")
    commands._token("local")
    assert evaluated(capsys.readouterr().out, "API_KEY") == "0123456789abcdef"


def test_the_passphrase_of_a_new_stack_is_told_as_a_shell_takes_it(monkeypatch, tmp_path: Path):
    path = tmp_path / "a folder" / "passphrase"
    assert evaluated(stack.exports({"PULUMI_CONFIG_PASSPHRASE_FILE": path}), "PULUMI_CONFIG_PASSPHRASE_FILE") == str(
        path
    )


def test_make_hands_pulumi_the_passphrase_of_a_checkout_with_spaces(tmp_path: Path):
    checkout = tmp_path / "my X-rays" / "it's here"
    checkout.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", checkout)
    for command, does in ((".venv/bin/python", ""), ("bin/pulumi", 'printf %s "$PULUMI_CONFIG_PASSPHRASE_FILE" >told')):
        (checkout / command).parent.mkdir(parents=True)
        (checkout / command).write_text(f"#!/bin/sh\n{does}\n")
        (checkout / command).chmod(0o755)
    environment = {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["make", "down"], cwd=checkout, env=environment, check=True, capture_output=True)
    assert (checkout / "told").read_text() == str(checkout / ".local" / "pulumi" / "passphrase")


@pytest.mark.parametrize(
    ("machine", "native"), [("x86_64", "linux/amd64"), ("arm64", "linux/arm64"), ("aarch64", "linux/arm64")]
)
def test_images_are_built_for_the_machine_that_runs_them(machine: str, native: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(container.platform, "machine", lambda: machine)
    images = record().of("Image").values()
    assert {image.inputs["build"]["platform"] for image in images} == {native}


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands `aws` and `docker` that write what was typed into the file; docker knows two workers."""
    told = tmp_path / "typed"
    for name, answer in {
        "aws": "",
        "docker": '[ "$1" = ps ] && printf "hm-mlflow-ray-worker-2\\nhm-mlflow-ray-worker-1\\n"',
    }.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\necho {name} "$@" >>{told}\n{answer}\nexit 0\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(stack, "read_setting", lambda name, _: "eu-west-1" if name == "aws:region" else None)
    return told


def test_the_log_of_a_service_is_followed_on_aws_and_here(
    typed: Path, aws_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(SystemExit) as ended:
        commands._logs("aws-try", "webapp")
    assert ended.value.code == "/ecs/hm-mlflow-try-webapp is not there; `make up STACK=aws-try` makes it."
    boto3.client("logs", region_name="eu-west-1").create_log_group(logGroupName="/ecs/hm-mlflow-try-webapp")
    with pytest.raises(SystemExit) as ended:
        commands._logs("aws-try", "webapp")
    assert ended.value.code == 0
    assert typed.read_text() == "aws logs tail /ecs/hm-mlflow-try-webapp --follow --since 1h --region eu-west-1\n"
    with pytest.raises(SystemExit):
        commands._logs("local", "ray-worker")
    assert typed.read_text().splitlines()[-1] == "docker logs --follow --tail 200 hm-mlflow-ray-worker-1"
    told = "This is hm-mlflow-ray-worker-1; of the others, docker logs shows hm-mlflow-ray-worker-2.\n"
    assert capsys.readouterr().err == told


def test_a_service_that_there_is_not_is_named_with_those_that_there_are(typed: Path):
    with pytest.raises(SystemExit, match=r"SERVICE is ''; it takes one of .*mlflow.*: make logs SERVICE=") as ended:
        commands._logs("local", "")
    assert {"postgres", "minio", "minio-buckets", "scheduler", "grafana"} <= set(re.split(r"[ ,:]+", str(ended.value)))
    with pytest.raises(SystemExit, match="it takes one of mlflow, ray-head, ray-worker, webapp, model-training: make"):
        commands._logs("aws", "page")
    assert not typed.exists()


def test_when_a_stack_here_is_down_it_says_where_its_data_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    there = "hm-mlflow-try-minio hm-mlflow-try-webapp hm-mlflow-minio hm-mlflow-try-webapp-secrets another"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\n[ "$1 $2" = "volume ls" ] && printf "%s\\n" {there}\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    commands._tidy("try")
    kept = "hm-mlflow-try-minio, hm-mlflow-try-webapp"
    assert capsys.readouterr().out == f"The data stay in the volumes {kept}; `make up STACK=try` takes them again.\n"
    commands._tidy("another")
    assert capsys.readouterr().out == ""


def test_a_setting_that_cannot_be_read_is_no_setting_that_is_not_set(monkeypatch):
    said = {
        "configuration key 'hm-mlflow:rayToken' not found for stack 'aws'": None,
        "no stack named 'aws' found": None,
        'read ".pulumi/stacks/aws.json": RequestError: connection reset by peer': "cannot be read: .*reset by peer",
    }
    for words, problem in said.items():
        refusal = subprocess.CompletedProcess([], 1, stdout="", stderr=f"error: {words}\n")
        monkeypatch.setattr(stack, "run_pulumi", lambda *_, refusal=refusal, **__: refusal)
        if problem is None:
            assert stack.read_setting("rayToken", "aws") is None
        else:
            with pytest.raises(stack.StackError, match=problem):
                stack.read_setting("rayToken", "aws")


@pytest.mark.parametrize("said", ["no stack named 'aws' found", "unable to open state directory"])
@pytest.mark.parametrize(
    "command",
    [
        *(["sleep"], ["wake"], ["status"], ["check"], ["upload", "synthetic:60"], ["rotate", "ray-token"]),
        *(["backup", "/nowhere", ""], ["restore", "/nowhere", "", ""]),
    ],
)
def test_a_command_typed_before_its_stack_is_there_says_what_makes_it(
    command: list[str], said: str, tmp_path: Path, monkeypatch
):
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f'#!/bin/sh\necho "error: {said}" >&2\nexit 255\n')
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("sys.argv", ["infra", command[0], "aws", *command[1:]])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == "There is no stack aws yet: make stack STACK=aws, then make up STACK=aws"


@pytest.mark.parametrize("command", [["logs", "local", "webapp"], ["status", "local"], ["tidy", "local"]])
def test_without_docker_a_sentence_says_so(monkeypatch, command: list[str]):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.argv", ["infra", *command])
    with pytest.raises(SystemExit, match="The command docker is not on the PATH"):
        commands.main()


@pytest.mark.parametrize("name", ["AWS", "aws_dev", "my_stack", "Test", "x" * 23, "-x"])
def test_a_name_that_no_stack_on_this_machine_can_have_is_refused_before_anything(monkeypatch, name: str):
    monkeypatch.setattr("sys.argv", ["infra", "status", "--", name])
    with pytest.raises(SystemExit, match=r"it takes local, or another name of up to 22 small letters"):
        commands.main()


def test_an_upload_to_this_machine_is_signed_by_the_stores_own_key_whoever_the_person_is(monkeypatch, tmp_path: Path):
    (tmp_path / "minio-credentials").write_text("[default]\naws_access_key_id = jobs\naws_secret_access_key = s%3\n")
    monkeypatch.setattr(commands.secrets, "FOLDER", tmp_path)
    monkeypatch.setattr(commands.stores, "CREDENTIALS", "minio-credentials")
    for key in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(key, "a person's")
    used = {}
    monkeypatch.setattr(
        commands.subprocess, "run", lambda *_, env, **__: used.update(env) or subprocess.CompletedProcess([], 0)
    )
    monkeypatch.setattr("sys.argv", ["infra", "upload", "local", "xrays"])
    with pytest.raises(SystemExit):
        commands.main()
    assert (used["AWS_ACCESS_KEY_ID"], used["AWS_SECRET_ACCESS_KEY"]) == ("jobs", "s%3")
    assert "a person's" not in used.values()
