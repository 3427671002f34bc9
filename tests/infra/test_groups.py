"""Resources stand in groups as the topology has them, and a stack from before there were groups keeps each of its own.

`ungrouped/` lists what the program declared then, all of it at the root of the stack, a type and a name a line:
recorded by these mocks at commit 26d0c63. An engine takes a resource for the same one when its URN, or one that an
alias spells, is in the state: then nothing is created, deleted or replaced.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import pulumi
import pytest

from infra.groups import Groups
from tests.infra.support import graph
from tests.infra.support.recorded import Resource, record

UNGROUPED = Path(__file__).parent / "ungrouped"
RECORDED: dict[str, Callable[[], tuple[Resource | graph.Resource, ...]]] = {
    "local": lambda: record(workers="2", login="true", jupyter="true").resources,
    "aws": lambda: graph.recorded("dev").resources,
    "aws-endpoints": lambda: graph.recorded("dev", "endpoints").resources,
}
_OF_A_SECRET = ("secret:Secret", "secretVersion:SecretVersion")
_NEW_ALARMS = ("alias-moved", "drift", "jobs-waiting", "version-refused")
_NEW_FILTERS = ("accepted-version", "alias-in-place", "drift", "jobs-waiting", "moved-alias", "refused-version")
# What later stacks have besides: to make it touches nothing else.
ADDED = {
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders cluster",
    # A job asks the webapp whether traffic has what it promoted.
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule webapp-from-ray-head-8080",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule webapp-from-ray-head-8080",
    # A notebook asks it for an answer.
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule webapp-from-jupyter-8080",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule webapp-from-jupyter-8080",
    # The page asks for keys.
    *(f"aws:secretsmanager/{kind} {name}" for kind in _OF_A_SECRET for name in ("api-keys", "jobs-api-key")),
    # A version that is refused, an alias that somebody moved, jobs that wait and drift ring.
    *(f"aws:cloudwatch/logMetricFilter:LogMetricFilter {name}" for name in _NEW_FILTERS),
    *(f"aws:cloudwatch/metricAlarm:MetricAlarm {name}" for name in _NEW_ALARMS),
}
recorded = functools.cache(lambda name: RECORDED[name]())


@pytest.mark.parametrize("name", RECORDED)
def test_a_stack_without_groups_keeps_every_resource(name: str):
    found = {f"{one.place.token} {one.name}": one.place for one in recorded(name)}
    before = (UNGROUPED / f"{name}.txt").read_text().splitlines()
    assert sorted(found.keys() - ADDED) == sorted(before)  # nothing else is created, and nothing deleted
    assert [urn for urn in before if found[urn].group and not found[urn].aliased_to_root] == []


@pytest.mark.parametrize("name", RECORDED)
def test_nothing_stands_outside_a_group(name: str):
    assert [str(one) for one in recorded(name) if not one.place.group] == []


def test_everything_of_a_service_stands_with_it():
    of_page = {str(one) for one in recorded("aws") if one.place.group == "Service webapp"}
    wanted = ("ecs.Service", "ecs.TaskDefinition", "cloudwatch.LogGroup", "lb.TargetGroup", "ec2.SecurityGroup")
    assert of_page >= {f"{kind} webapp" for kind in wanted} | {"iam.Role webapp-task", "iam.Role webapp-execution"}
    assert of_page >= {"cloudwatch.MetricAlarm webapp-missing", "cloudwatch.MetricAlarm no-ready-model"}


def test_an_alias_that_is_missing_is_noticed():
    """The check can fail: a resource in a group without the alias would be made anew."""

    def program() -> None:
        options = Groups().within("Service", "x")
        pulumi.CustomResource("docker:index/network:Network", "with", {}, options)
        pulumi.CustomResource(
            "docker:index/network:Network", "without", {}, pulumi.ResourceOptions(parent=options.parent)
        )

    places = {one.name: one.place for one in record(program).resources}
    assert {name: place.aliased_to_root for name, place in places.items()} == {"with": True, "without": False}
    assert {place.group for place in places.values()} == {"Service x"}
