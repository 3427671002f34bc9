"""Every rule holds of dev and of prod, and a change of what it is about breaks it."""

from typing import Any

import pytest

from infra.aws.graph import Graph
from infra.aws.imagined import graph_of
from infra.aws.rules.every import RULES, broken
from infra.inputs import Hidden
from tests.infra.support.graph import CERTIFICATE, CIDRS, REGION, defaults
from tests.infra.support.mutations import Mutation, asked, mutations


@pytest.fixture(params=["dev", "prod"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return asked(request.param)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds(graph: Graph, rule: str):
    assert list(RULES[rule](graph)) == []


@pytest.mark.parametrize("egress", ["public", "endpoints"])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds_without_a_nat_gateway_too(rule: str, egress: str):
    assert list(RULES[rule](asked("dev", egress))) == []


@pytest.mark.parametrize(("environment", "egress"), [("dev", "public"), ("dev", "endpoints"), ("prod", "nat")])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds_where_people_come_in_by_cloudfront_too(rule: str, environment: str, egress: str):
    assert list(RULES[rule](asked(environment, egress, "cloudfront"))) == []


# What somebody may set beside environment and egress, as far as it changes what is declared.
SETTINGS = {
    "a retraining each week": {"retrain": "weekly"},
    "a retraining on drift": {"retrain": "on-drift", "environment": "prod"},
    "a database from a snapshot": {"restoreDatabase": "hm-mlflow-database-0123abcd-20261129-030000"},
    "a database from a moment": {
        "restoreDatabase": "hm-mlflow-database-0123abcd@2026-11-29T03:00:00Z",
        "environment": "prod",
    },
    "a public zone": {"domain": "xray.example.com", "hostedZoneId": "Z0123456789ABC"},
    "a certificate": {"certificateArn": CERTIFICATE},
    "plain HTTP": {"plainHttp": True},
    "no keys": {"keys": "off"},
    "the free plan": {"accountPlan": "free"},
    "other processors": {"architecture": "arm64"},
    "no budget": {"monthlyBudget": "0"},
    "a team's key pair": {"signingKey": "a key", "trustedKey": "a key"},
    "everybody by CloudFront": {"edge": "cloudfront", "allowedCidrs": ["0.0.0.0/0"]},
    "CloudFront, with the names inside changed": {"edge": "cloudfront", "domain": "xray.example.com"},
    "data that may go": {"environment": "prod", "keepData": False},
}


@pytest.mark.parametrize("case", SETTINGS)
def test_no_setting_breaks_a_rule(case: str):
    settings = {"allowedCidrs": CIDRS, "aws:region": REGION} | SETTINGS[case]
    assert broken(graph_of("aws", defaults() | settings)) == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("iam.RolePolicy", ("policy", "Statement", 1, "Resource"), ["arn of iam.Role webapp-task"]),
        ("iam.RolePolicy", ("policy", "Statement", 1, "Condition"), {}),
        ("iam.Role", ("assumeRolePolicy", "Statement", 0, "Principal"), {"Service": "ecs-tasks.amazonaws.com"}),
    ],
)
def test_the_clock_hands_on_the_roles_of_the_training_and_no_others(kind: str, path: tuple[Any, ...], value: Any):
    graph = graph_of("aws", defaults() | {"retrain": "weekly", "aws:region": REGION})
    assert broken(Mutation("", kind, "retraining", path, value).of(graph)) != []


@pytest.mark.parametrize("mutation", list(mutations()), ids=str)
def test_a_mutation_breaks_its_rule(mutation: Mutation):
    assert list(RULES[mutation.rule](mutation.of(asked(mutation.environment, edge=mutation.edge)))) != []


def test_every_rule_has_a_mutation():
    assert {mutation.rule for mutation in mutations()} == RULES.keys()


def test_a_secret_is_told_from_what_is_in_the_open():
    assert isinstance(asked("dev").of("secretsmanager.SecretVersion")["ray-token"]["secretString"], Hidden)
