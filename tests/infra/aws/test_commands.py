"""What make asks of a stack that stands on AWS, by an ECS that answers."""

from pathlib import Path

import boto3
import pytest
from botocore.exceptions import UnauthorizedSSOTokenError

from infra import stack
from infra.__main__ import main
from infra.aws.account import commands
from infra.aws.account.commands import differences
from infra.aws.network import certificate
from infra.settings import SettingError

DEPLOYED = ("mlflow", "webapp")


@pytest.fixture
def deployed(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A cluster with services that were given a task definition each; what Pulumi says of it."""
    for name, value in {
        "AWS_ENDPOINT_URL": aws_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    ecs = boto3.session.Session().client("ecs")
    ecs.create_cluster(clusterName="hm-mlflow-cluster")
    tasks = {}
    for name in DEPLOYED:
        container = {"name": name, "image": "image", "memory": 512}
        made = ecs.register_task_definition(family=f"hm-mlflow-{name}", containerDefinitions=[container])
        tasks[name] = made["taskDefinition"]["taskDefinitionArn"]
        ecs.create_service(
            cluster="hm-mlflow-cluster", serviceName=f"hm-mlflow-{name}", taskDefinition=tasks[name], desiredCount=2
        )
    said = {"cluster": "hm-mlflow-cluster", "deployed": tasks}
    monkeypatch.setattr(commands, "outputs", lambda _: said)
    monkeypatch.setattr(stack, "read_setting", lambda name, _: {"aws:region": "eu-west-1"}.get(name))
    return tasks


def test_status_says_of_each_service_how_many_run(deployed: dict[str, str]):
    assert commands.status("aws") == [f"hm-mlflow-{name:14} 0 of 2 running" for name in DEPLOYED]


def test_check_names_services_that_are_not_complete_or_run_another_definition(deployed: dict[str, str]):
    deployed["webapp"] += "0"
    incomplete, rolled_back = commands.check("aws")
    assert incomplete.startswith("hm-mlflow-mlflow has 0 of 2 containers")
    assert rolled_back.startswith(f"hm-mlflow-webapp runs {deployed['webapp'][:-1]}, not {deployed['webapp']}")


def test_what_aws_writes_after_a_stack_has_gone_is_removed_and_nothing_of_others(
    deployed, aws_server: str, monkeypatch
):
    logs = boto3.session.Session().client("logs")
    gone = [
        "/aws/rds/instance/hm-mlflow-database-1a2b3c4d/postgresql",
        "/aws/ecs/containerinsights/hm-mlflow-cluster/performance",
    ]
    kept = ["/aws/rds/instance/hm-mlflow-try-database-1a2b3c4d/postgresql", "/ecs/payroll"]
    for name in (*gone, *kept):
        logs.create_log_group(logGroupName=name)
    assert commands.tidy("aws") == []  # it is up
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    monkeypatch.setattr(stack, "read_setting", lambda name, _: {"aws:region": "eu-west-1"}.get(name))
    assert sorted(commands.tidy("aws")) == sorted(gone)
    left = {one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]}
    assert left >= set(kept)
    assert not left & set(gone)
    monkeypatch.setattr(stack, "read_setting", lambda *_: None)
    assert commands.tidy("aws") == []  # a stack without a region, which has never been up


def running(task: str = "task:2", **other) -> dict:
    primary = {"status": "PRIMARY", "taskDefinition": task}
    return {
        "serviceName": "web",
        "status": "ACTIVE",
        "taskDefinition": task,
        "runningCount": 2,
        "desiredCount": 2,
        "deployments": [primary],
    } | other


def test_what_runs_is_what_was_meant():
    assert differences({"web": "task:2"}, [running()]) == []


@pytest.mark.parametrize(
    ("described", "line"),
    [
        ([], "web is not there."),
        ([running(status="INACTIVE")], "web is not there."),
        ([running("task:1")], "web runs task:1, not task:2: the new one did not get healthy and was rolled back."),
        ([running(runningCount=1)], "web has 1 of 2 containers, with 0 older deployments"),
        (
            [running(deployments=[{"status": "PRIMARY"}, {"status": "ACTIVE"}])],
            "web has 2 of 2 containers, with 1 older",
        ),
    ],
)
def test_what_was_rolled_back_or_is_not_there_yet_is_said(described: list, line: str):
    [said] = differences({"web": "task:2"}, described)
    assert said.startswith(line)


@pytest.mark.parametrize("words", [["check"], ["status"], ["upload", "synthetic:60"]], ids=lambda words: words[0])
def test_what_asks_a_stack_that_is_not_up_says_so(words: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    monkeypatch.setattr("sys.argv", ["infra", words[0], "aws", *words[1:]])
    with pytest.raises(SystemExit, match=r"^aws is not up: make up STACK=aws$"):
        main()


@pytest.mark.parametrize("command", ["sleep", "wake", "status", "check", "tidy"])
def test_credentials_that_have_ended_are_said_without_a_traceback(command: str, monkeypatch: pytest.MonkeyPatch):
    def refuses(_: str) -> None:
        raise UnauthorizedSSOTokenError

    monkeypatch.setattr(commands, "regional", refuses)
    monkeypatch.setattr(stack, "settings_of", lambda _: {"environment": "dev"})
    monkeypatch.setattr(stack, "read_setting", lambda name, _: {"aws:region": "eu-west-1"}.get(name))
    said = {} if command == "tidy" else {"cluster": "c", "database": "d", "deployed": {}}
    monkeypatch.setattr(commands, "outputs", lambda _: said)
    monkeypatch.setattr("sys.argv", ["infra", command, "aws"])
    with pytest.raises(SystemExit, match=r"^AWS did not do it: .*aws sso login.*\n.*: make doctor STACK=aws$"):
        main()


@pytest.mark.parametrize(("keys", "shown"), [(None, "0123456789abcdef"), ("on", "0123456789abcdef"), ("off", None)])
def test_a_key_to_the_page_is_shown_with_the_token_where_it_asks_for_one(keys, shown, monkeypatch, tmp_path: Path):
    settings = {"certificateArn": "arn:aws:acm:…", "rayToken": "a token", "apiKeys": "team:0123456789abcdef"}
    monkeypatch.setattr(stack, "read_setting", lambda name, _: (settings | {"keys": keys}).get(name))
    monkeypatch.setattr(commands, "FILES", tmp_path)
    assert commands.write_files("aws").get("API_KEY") == shown


@pytest.mark.parametrize(
    "settings",
    [
        {"hostedZoneId": "Z1", "domain": "xray.example.com"},
        {"certificateArn": "arn:aws:acm:…"},
        {"edge": "cloudfront"},
    ],
)
def test_who_has_a_certificate_is_made_no_authority(settings: dict[str, str], monkeypatch, tmp_path: Path):
    monkeypatch.setattr(stack, "prepare", lambda *_: [])
    monkeypatch.setattr(stack, "read_setting", lambda name, _: (settings | {"rayToken": "a token"}).get(name))
    monkeypatch.setattr(commands, "FILES", tmp_path)
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    made, _ = commands.prepare("aws")
    assert made == []
    commands.write_files("aws")
    assert [file.name for file in (tmp_path / "aws").iterdir()] == ["ray-token"]


def test_the_certificate_is_for_the_domain_that_is_set(monkeypatch):
    settings = {"domain": "xray.test"}

    def run(*words: str, text: str | None = None) -> None:
        settings[words[words.index("--stack") - 1]] = text or ""

    monkeypatch.setattr(stack, "prepare", lambda *_: [])
    monkeypatch.setattr(stack, "read_setting", lambda name, _: settings.get(name))
    monkeypatch.setattr(stack, "run_pulumi", run)
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    assert commands.prepare("aws")[0] == ["certificate"]
    hosts = [f"{host}.xray.test" for host in ("mlflow", "ray", "app")]
    assert not certificate.is_due(settings["tlsCertificate"], "xray.test", hosts)
    settings["domain"] = "another.test"
    assert commands.prepare("aws")[0] == ["certificate"]


@pytest.mark.parametrize("domain", ["köln.example", "no domain", f"{'x' * 43}.example.com"])
def test_a_domain_that_no_certificate_can_have_is_refused_before_one_is_made(monkeypatch, domain: str):
    monkeypatch.setattr(stack, "prepare", lambda *_: [])
    monkeypatch.setattr(stack, "read_setting", lambda name, _: domain if name == "domain" else None)
    with pytest.raises(SettingError, match=r"domain is .*; it takes a domain in small letters"):
        commands.prepare("aws")


@pytest.mark.parametrize(
    ("said", "set_already", "kept"),
    [
        ({"cluster": "hm-mlflow-cluster"}, None, "nat"),  # it is up from before there was another way
        ({"cluster": "hm-mlflow-cluster", "egress": "public"}, None, None),
        ({"cluster": "hm-mlflow-cluster"}, "endpoints", "endpoints"),
        ({}, None, None),  # it has not been up
    ],
)
def test_a_stack_that_is_up_keeps_its_nat_gateway(said, set_already, kept, monkeypatch):
    settings = {"certificateArn": "arn:aws:acm:…"} | ({"egress": set_already} if set_already else {})

    def run(*words: str, text: str | None = None) -> None:
        settings[words[2]] = words[-1]

    monkeypatch.setattr(stack, "prepare", lambda *_: [])
    monkeypatch.setattr(stack, "read_setting", lambda name, _: settings.get(name))
    monkeypatch.setattr(stack, "run_pulumi", run)
    monkeypatch.setattr(commands, "outputs", lambda _: said)
    commands.prepare("aws")
    assert settings.get("egress") == kept
