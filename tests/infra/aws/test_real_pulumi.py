"""Pulumi's real engine runs the program of a stack on AWS and its policy pack, over a provider that makes nothing."""

from pathlib import Path

import pytest

from tests.infra.support.project import Project, real

pytestmark = real
_RULES = ("--policy-pack", "pulumi/policy")


def test_a_first_preview_passes_every_rule_and_one_that_breaks_stops_it(tmp_path: Path):
    project = Project(tmp_path, "aws")
    assert "hm-mlflow" in project.preview(*_RULES).stdout
    buckets = project.folder / "pulumi" / "infra" / "aws" / "data" / "buckets.py"
    changed = buckets.read_text().replace(
        'versioning_configuration={"status": "Enabled"}', 'versioning_configuration={"status": "Suspended"}'
    )
    assert changed != buckets.read_text()
    buckets.write_text(changed)
    refused = project.preview(*_RULES, check=False)
    assert refused.returncode != 0
    assert "buckets-keep-versions" in refused.stdout + refused.stderr


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_stack_that_is_up_is_left_as_it_is(environment: str, tmp_path: Path):
    project = Project(tmp_path, "aws", environment=environment)
    project.up()
    assert project.steps().keys() == {"same"}


@pytest.mark.parametrize(("up", "wanted"), [("balancer", "cloudfront"), ("cloudfront", "balancer")])
def test_another_way_in_takes_the_place_of_one_that_is_gone_and_no_data_go(up: str, wanted: str, tmp_path: Path):
    """By the command that `make up` names; the rules are asked in the first preview."""
    project = Project(tmp_path, "aws", edge=up)
    project.preview(*_RULES)
    project.up()
    project.down("--target", "**LoadBalancer::edge", "--target-dependents")
    project.configure("edge", wanted)
    made = {line.split()[0].split(":")[-1] for line in project.steps()["create"]}
    assert {"LoadBalancer", "Service"} <= made
    assert not made & {"Bucket", "Instance", "Secret", "NotebookInstance", "Key", "Repository", "LogGroup"}
    project.up()
    assert project.steps().keys() == {"same"}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_stack_of_before_groups_is_taken_over(environment: str, tmp_path: Path):
    """Two kinds are made anew, and neither holds data.

    AWS changes no revision of a task, but takes another; and the domain was `hm-mlflow.local`, which is mDNS's.
    """
    project = Project(tmp_path, "aws", environment=environment)
    project.take_ungrouped()
    project.up()
    project.take_today()
    project.configure("egress", "nat")  # as `make stack` does for one that is up
    steps = project.steps()
    assert steps.keys() == {"same", "update", "create", "replace"}  # nothing is deleted
    assert {line.split()[0].split(":")[-1] for line in steps["replace"]} == {"TaskDefinition", "PrivateDnsNamespace"}
