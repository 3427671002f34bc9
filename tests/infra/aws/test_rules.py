"""Every rule holds of dev and of prod, and a change of what it is about breaks it."""

import pytest

from infra.aws.graph import Graph
from infra.aws.rules.every import RULES
from infra.inputs import Hidden
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


@pytest.mark.parametrize("mutation", list(mutations()), ids=str)
def test_a_mutation_breaks_its_rule(mutation: Mutation):
    assert list(RULES[mutation.rule](mutation.of(asked(mutation.environment)))) != []


def test_every_rule_has_a_mutation():
    assert {mutation.rule for mutation in mutations()} == RULES.keys()


def test_a_secret_is_told_from_what_is_in_the_open():
    assert isinstance(asked("dev").of("secretsmanager.SecretVersion")["ray-token"]["secretString"], Hidden)
