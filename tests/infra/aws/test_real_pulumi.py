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
