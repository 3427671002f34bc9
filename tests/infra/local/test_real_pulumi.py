"""Pulumi's real engine runs the program of a stack on this machine, over a provider that makes nothing."""

from pathlib import Path

from tests.infra.support.project import Project, real

pytestmark = real


def test_a_stack_that_is_up_is_left_as_it_is(tmp_path: Path):
    project = Project(tmp_path, "local")
    project.up()
    assert project.steps().keys() == {"same"}


def test_a_stack_of_before_groups_is_taken_over(tmp_path: Path):
    """Only containers are made anew, which keep nothing: each has other variables, or a label that it had not."""
    project = Project(tmp_path, "local")
    project.take_ungrouped()
    project.up()
    project.take_today()
    steps = project.steps()
    assert steps.keys() <= {"same", "update", "create", "replace"}  # nothing is deleted
    assert {line.split()[0] for line in steps["replace"]} == {"docker:index/container:Container"}
    assert {line.split(":topology:")[0] for line in steps["create"]} == {"hm-mlflow"}  # the groups themselves
    kept = {line.split()[1] for line in steps["same"] if line.startswith("docker:index/volume:")}
    assert kept >= {f"hm-mlflow-{name}" for name in ("minio", "postgres", "postgres-postgresql", "webapp")}
