"""All the rules by name, and what a graph breaks of them."""

from infra.aws.graph import Graph
from infra.aws.rules import cloudfront, containers, edge, roles, stores
from infra.aws.rules.common import Rule

_MODULES = (stores, edge, cloudfront, containers, roles)
RULES: dict[str, Rule] = {rule.__name__: rule for module in _MODULES for rule in module.RULES}


def broken(graph: Graph) -> list[str]:
    """A line for each thing that breaks a rule, with the rule's name."""
    return [f"{name}: {line}" for name, rule in RULES.items() for line in rule(graph)]
