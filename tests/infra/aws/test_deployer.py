"""The policy of who deploys: every action that AWS names for what is declared, and none that makes an administrator."""

import functools
import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import stack
from infra.__main__ import main
from infra.aws.account import commands
from infra.aws.account.deployer import BY_HAND, COMMANDS, MOST_CHARACTERS, TYPES, documents, permissions, statements
from infra.aws.imagined import graph_of
from infra.aws.names import Names
from infra.settings import SettingError
from tests.infra.support.graph import Graph, defaults, record, recorded

NAMES = Names(project="hm-mlflow", stack="aws", environment="dev", account="", region="eu-west-1")
ZONE = {"domain": "xray.example.com", "hostedZoneId": "Z0123456789ABC"}
# What AWS's schemas name and no stack needs: services of features that it does not use, and what no policy can name.
NOT_NEEDED = {
    *("elasticfilesystem", "organizations", "s3files", "autoscaling:DescribeTags"),
    *("payments", "sts", "cloudfront:CreateDistributionWithTags"),
    *("acm-pca", "billing", "cognito-idp", "firehose", "lambda", "s3tables", "vpc-lattice", "vpce"),
    *("s3:REST.PUT.OBJECT", "s3:DeleteBucketAnalyticsConfiguration", "s3:DeleteBucketCors", "s3:DeleteBucketTagging"),
    *("s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle", "s3:DeleteBucketMetricsConfiguration"),
    *("s3:DeleteBucketReplication", "s3:PutBucketReplication", "s3:PutObjectLockConfiguration"),
    # These would give more than the stack's own roles and settings.
    *("iam:AttachRolePolicy", "iam:DetachRolePolicy", "ecs:PutAccountSetting", "ecs:PutAccountSettingDefault"),
}


def kinds(graph: Graph) -> set[str]:
    return {resource.kind for resource in graph.resources}


GRAPHS = {
    "dev": lambda: recorded("dev"),
    "prod": lambda: recorded("prod"),
    "endpoints": lambda: recorded("dev", "endpoints"),
    "CloudFront": lambda: recorded("prod", edge="cloudfront"),
    "a domain of one's own": functools.cache(lambda: record(**ZONE, sleepAfter="4h")),
}


@functools.cache
def made_for(graph: str) -> list[dict[str, Any]]:
    return statements(kinds(GRAPHS[graph]()), NAMES)


def allows(found: Iterable[dict[str, Any]], action: str, resource: str = "*") -> bool:
    return any(
        any(fnmatchcase(action, pattern) for pattern in one["Action"])
        and (resource == "*" or any(fnmatchcase(resource, pattern) for pattern in one["Resource"]))
        for one in found
    )


def lacking(graph: Graph, found: list[dict[str, Any]]) -> Iterator[str]:
    for kind in sorted(kinds(graph)):
        for action in permissions(kind):
            if not {action, action.split(":")[0]} & NOT_NEEDED and not allows(found, action):
                yield f"{kind} needs {action}"


@pytest.mark.parametrize("graph", GRAPHS)
def test_nothing_that_is_declared_needs_an_action_outside_the_policy(graph: str):
    assert list(lacking(GRAPHS[graph](), made_for(graph))) == []


@pytest.mark.parametrize(
    "kind", ["ecs.Service", "rds.Instance", "docker.Image", "ec2.InternetGateway", "budgets.Budget"]
)
def test_a_kind_that_the_policy_was_not_made_for_is_noticed(kind: str):
    graph = recorded("dev")
    assert any(line.startswith(f"{kind} ") for line in lacking(graph, statements(kinds(graph) - {kind}, NAMES)))


def test_a_kind_of_which_nothing_is_known_stops_it():
    with pytest.raises(LookupError, match=r"Nothing says which actions sqs\.Queue takes; add it to the tables"):
        statements({"sqs.Queue"}, NAMES)


@pytest.mark.parametrize("graph", ["prod", "CloudFront", "a domain of one's own"])
def test_every_kind_is_in_a_table_and_the_program_needs_no_account_to_say_it(graph: str):
    prod = {"environment": "prod"}
    settings = {"prod": prod, "CloudFront": prod | {"edge": "cloudfront"}}.get(graph, ZONE | {"sleepAfter": "4h"})
    found = graph_of("aws", defaults() | settings).resources
    assert {one.kind for one in found} == kinds(GRAPHS[graph]())
    assert {one.kind for one in found} <= TYPES.keys() | BY_HAND.keys()


def test_the_project_s_own_commands_are_allowed():
    found = made_for("dev")
    assert [action for action in COMMANDS if not allows(found, action)] == []


def test_a_rule_of_a_security_group_is_changed_as_pulumi_s_provider_does_it_and_not_cloudformation():
    assert allows(made_for("dev"), "ec2:ModifySecurityGroupRules")


def test_it_makes_nobody_an_administrator():
    found = made_for("prod")
    for action in (
        "iam:CreateUser",
        "iam:CreateAccessKey",
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "sts:AssumeRole",
    ):
        assert not allows(found, action), action
    assert not any(pattern.endswith(":*") for one in found for pattern in one["Action"])
    role = "arn:aws:iam::123456789012:role/{}"
    assert allows(found, "iam:PutRolePolicy", role.format("hm-mlflow-webapp-task"))
    assert not allows(found, "iam:PutRolePolicy", role.format("administrator"))
    assert not allows(found, "iam:PassRole", role.format("administrator"))
    [passed] = [one for one in found if one["Action"] == ["iam:PassRole"]]
    assert passed["Condition"]["StringEquals"]["iam:PassedToService"] == [
        *("ecs-tasks.amazonaws.com", "lambda.amazonaws.com", "sagemaker.amazonaws.com", "scheduler.amazonaws.com")
    ]


def test_it_reads_no_secret_and_no_object_of_anybody_else():
    found = made_for("prod")
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:{}"
    assert allows(found, "secretsmanager:GetSecretValue", secret.format("hm-mlflow/ray-token-AbCdEf"))
    assert not allows(found, "secretsmanager:GetSecretValue", secret.format("payroll"))
    assert allows(found, "s3:PutObject", "arn:aws:s3:::hm-mlflow-data-123456789012-eu-west-1/a.png")
    assert not allows(found, "s3:GetObject", "arn:aws:s3:::payroll/a")
    assert not allows(found, "s3:DeleteBucket", "arn:aws:s3:::payroll")


def test_what_has_no_names_of_the_project_is_kept_to_the_stack_s_region():
    everywhere = {"budgets", "cloudfront", "freetier", "iam", "route53", "s3", "wafv2"}
    for one in made_for("prod") + made_for("CloudFront"):
        services = {action.split(":")[0] for action in one["Action"]}
        if one["Resource"] == ["*"] and not services <= everywhere:
            assert one["Condition"] == {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, one


def test_aws_takes_each_document(aws_server: str):
    """moto checks the grammar of a policy as IAM does; the length is counted here."""
    iam = boto3.client(
        "iam", endpoint_url=aws_server, region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
    )
    made = documents(made_for("a domain of one's own"))
    assert len(made) <= 5  # of the ten that a user may have
    for number, document in enumerate(made):
        assert len(document) <= MOST_CHARACTERS
        iam.create_policy(PolicyName=f"deployer-{number}", PolicyDocument=document)


def test_make_policy_writes_them_and_says_how_they_are_given(monkeypatch, tmp_path: Path, capsys):
    monkeypatch.setattr(commands, "FILES", tmp_path)
    monkeypatch.setattr(stack, "settings_of", lambda _: defaults())
    monkeypatch.setattr(stack, "read_setting", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["infra", "policy", "aws-try"])
    main()
    told = capsys.readouterr().out
    for number, file in enumerate(sorted((tmp_path / "aws-try").iterdir()), start=1):
        assert f"--policy-name hm-mlflow-try-deployer-{number} --policy-document file://{file} " in told
        assert json.loads(file.read_text())["Statement"]
    assert "hm-mlflow-try-" in file.read_text() + (tmp_path / "aws-try" / "policy-1.json").read_text()


def test_a_setting_that_cannot_be_is_said_instead(monkeypatch):
    with pytest.raises(SettingError, match="environment is 'test'"):
        graph_of("aws", defaults() | {"environment": "test"})
