"""What AWS takes of each value, which no simulation checks: cfn-lint judges the graph as a CloudFormation template."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cfnlint.api import lint

from infra.settings import SettingError
from tests.infra.support.cloudformation.template import patch_schemas, template
from tests.infra.support.graph import REGION, Graph, configure, record, recorded

LONGEST = "aws-abcdefghijkl"
# What is meant here: zones are asked of AWS before they are named, and `15` is the newest of its minor versions, of
# which the older ones are gone.
MEANT = {"W3010", "W3691"}


def found(graph: Graph) -> list[str]:
    patch_schemas()
    matches = lint(json.dumps(template(graph)), config={"regions": [REGION]})
    return [f"{match.rule.id} {match.path[1]}: {match.message}" for match in matches if match.rule.id not in MEANT]


@pytest.mark.parametrize("edge", ["balancer", "cloudfront"])
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_every_value_is_one_that_aws_takes(environment: str, edge: str):
    assert found(recorded(environment, edge=edge)) == []


def test_every_value_is_one_that_aws_takes_with_the_longest_name_of_a_stack():
    domain = f"{'x' * 42}.example.com"
    zone = {"domain": domain, "hostedZoneId": "Z0123456789ABC"}
    graph = record(stack=LONGEST, environment="prod", egress="endpoints", **zone)
    assert "hm-mlflow-abcdefghijkl-webapp" in {group["name"] for group in graph.of("lb.TargetGroup").values()}
    assert found(graph) == []


def test_every_value_is_one_that_aws_takes_where_a_clock_starts_a_retraining():
    assert found(record(environment="prod", retrain="on-drift")) == []


def test_a_longer_name_of_a_stack_is_refused():
    configure(stack=f"{LONGEST}m")
    from infra.aws.settings import read_aws_settings

    with pytest.raises(SettingError, match="up to 12 small letters and digits"):
        read_aws_settings()


MUTATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a description with an apostrophe": (
        "vpc.SecurityGroupIngressRule",
        "webapp-from-edge-8080",
        {"description": "The load balancer forwards people's requests"},
    ),
    "a name of 33 characters": ("lb.TargetGroup", "ray-head", {"name": "hm-mlflow-abcdefghijklm-ray-head-"[:33]}),
    "a retention that does not exist": ("cloudwatch.LogGroup", "webapp", {"retentionInDays": 31}),
    "more memory than the processor takes": ("ecs.TaskDefinition", "ray-head", {"cpu": "1024", "memory": "16384"}),
    "a database that is not made": ("rds.Instance", "database", {"instanceClass": "db.t4g.tiny"}),
    "an alarm over a period that there is not": ("cloudwatch.MetricAlarm", "webapp-errors", {"period": 45}),
}


def test_a_mutation_is_caught_and_named():
    """All in one template, because cfn-lint takes seconds for one."""
    graph = recorded("dev")
    changed = {(kind, name): values for kind, name, values in MUTATIONS.values()}
    mutated = replace(
        graph,
        resources=tuple(
            replace(one, inputs=one.inputs | changed.get((one.kind, one.name), {})) for one in graph.resources
        ),
    )
    told = found(mutated)
    for what, (kind, name, _) in MUTATIONS.items():
        logical = "".join(part for part in f"{kind} {name}".title() if part.isalnum())
        assert any(f" {logical}:" in line for line in told), (what, told)
    assert len({line.split(" ")[1] for line in told}) == len(MUTATIONS), told


def test_a_property_that_cloudformation_does_not_have_is_not_passed_over():
    graph = recorded("dev")
    vpc = graph.get("ec2.Vpc", "vpc")
    others = tuple(one for one in graph.resources if one is not vpc)
    with pytest.raises(LookupError, match=r"ec2\.Vpc vpc: colour is no property of AWS::EC2::VPC"):
        template(replace(graph, resources=(*others, replace(vpc, inputs=vpc.inputs | {"colour": "blue"}))))
