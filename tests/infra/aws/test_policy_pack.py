"""The rules as a policy pack, asked as Pulumi's engine asks it: as a process, by gRPC, in a first preview and later."""

from collections.abc import Iterator

import pytest

from infra.aws.graph import Graph
from infra.aws.imagined import graph_of
from infra.aws.rules.every import RULES
from tests.infra.support.engine import Engine, pack
from tests.infra.support.graph import CIDRS, REGION, defaults
from tests.infra.support.mutations import Mutation, asked, mutations

# The engine shows a pack what secrets are, and not that they are: this rule looks at the program's own run.
BY_THE_PROGRAM_ALONE = "secrets_are_encrypted_in_the_state"
ONE_A_RULE = list({mutation.rule: mutation for mutation in mutations()}.values())


@pytest.fixture(scope="module", params=[("dev", "balancer"), ("prod", "balancer"), ("dev", "cloudfront")], ids=" ".join)
def told(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, Graph]]:
    """The pack, told of an unchanged graph."""
    environment, edge = request.param
    with pack(environment, edge=edge) as engine:
        yield engine, asked(environment, edge=edge)


@pytest.mark.parametrize("first", [True, False], ids=["first preview", "later"])
def test_what_the_program_asks_for_breaks_no_rule(told: tuple[Engine, Graph], first: bool):
    engine, graph = told
    engine.tell(graph, first=first)
    assert engine.violations(graph, first=first) == []


def test_there_is_a_policy_for_each_rule(told: tuple[Engine, Graph]):
    engine, _ = told
    assert {name.replace("-", "_") for name in engine.policies} - {"what_is_asked_for"} == RULES.keys()


def test_what_people_set_later_breaks_no_rule_either():
    settings = {
        "retrain": "weekly",
        "restoreDatabase": "hm-mlflow-database-0123abcd@2026-11-29T03:00:00Z",
        "domain": "xray.example.com",
        "hostedZoneId": "Z0123456789ABC",
    }
    whole = defaults() | {"environment": "prod", "egress": "nat", "allowedCidrs": CIDRS, "aws:region": REGION}
    graph = graph_of("aws", whole | settings)
    with pack("prod", **settings) as engine:
        for first in (True, False):
            engine.tell(graph, first=first)
            assert engine.violations(graph, first=first) == []


def caught(engine: Engine, mutation: Mutation, graph: Graph) -> bool:
    changed = mutation.of(graph)
    others = tuple(one for one in changed.resources if one not in graph.resources)
    engine.only(mutation.rule)
    if others:
        engine.tell(changed, others)
    found = engine.violations(changed)
    engine.tell(graph, (graph.get(mutation.kind, mutation.name),))
    return bool(found) and all(line.startswith(mutation.rule.replace("_", "-")) for line in found)


def missed(told: tuple[Engine, Graph], wanted: list[Mutation]) -> list[str]:
    engine, graph = told
    engine.tell(graph)
    about = graph.settings.environment.name, graph.settings.edge
    return [
        str(mutation)
        for mutation in wanted
        if (mutation.environment, mutation.edge) == about
        and mutation.rule != BY_THE_PROGRAM_ALONE
        and not caught(engine, mutation, graph)
    ]


def test_the_pack_catches_a_change_that_breaks_a_rule(told: tuple[Engine, Graph]):
    assert missed(told, ONE_A_RULE) == []


@pytest.mark.long
def test_the_pack_catches_every_change_that_breaks_a_rule(told: tuple[Engine, Graph]):
    assert missed(told, list(mutations())) == []


def test_on_this_machine_there_is_nothing_to_judge():
    with pack("dev", stack="local") as engine:
        assert engine.violations(asked("dev")) == []
