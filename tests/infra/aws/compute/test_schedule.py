"""Retraining on AWS: a schedule that starts the training task with another command, by a role that can do only that."""

import json

import pytest

from infra.aws.settings import read_aws_settings
from infra.settings import SettingError
from tests.infra.support.graph import configure, plain, record, recorded


@pytest.fixture(scope="module")
def graph():
    return record(environment="prod", egress="nat", retrain="on-drift")


def test_a_schedule_starts_the_training_task_with_the_command_of_a_retraining(graph):
    [schedule] = graph.of("scheduler.Schedule").values()
    assert schedule["scheduleExpression"] == "cron(0 2 * * ? *)"
    target = schedule["target"]
    [override] = json.loads(target["input"])["containerOverrides"]
    [container] = json.loads(plain(graph.of("ecs.TaskDefinition")["model-training"]["containerDefinitions"]))
    assert override["name"] == container["name"]
    at = container["command"].index("--") + 1
    assert override["command"] == [
        *container["command"][:at],
        "python",
        "-m",
        "ray_jobs.retrain",
        "--because",
        "on-drift",
    ]
    task = target["ecsParameters"]
    assert (task["launchType"], task["taskCount"]) == ("FARGATE", 1)
    network = task["networkConfiguration"]
    assert network == {
        "subnets": ["id of private-1", "id of private-2"],
        "securityGroups": ["id of model-training"],
        "assignPublicIp": False,
    }


def test_its_role_may_start_that_task_in_that_cluster_and_pass_its_roles_and_nothing_else(graph):
    policy = json.loads(graph.of("iam.RolePolicy")["retraining"]["policy"])["Statement"]
    assert [statement["Action"] for statement in policy] == [["ecs:RunTask"], ["iam:PassRole"]]
    run, passing = policy
    assert "ecs:cluster" in run["Condition"]["ArnEquals"]
    assert all(resource.endswith(":*") and resource != "*" for resource in run["Resource"])
    assert len(passing["Resource"]) == 2
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    trust = json.loads(graph.of("iam.Role")["retraining"]["assumeRolePolicy"])["Statement"]
    assert [one["Principal"] for one in trust] == [{"Service": "scheduler.amazonaws.com"}]


def test_weekly_is_once_a_week_and_off_is_nothing_at_all():
    [weekly] = record(environment="dev", egress="nat", retrain="weekly").of("scheduler.Schedule").values()
    assert weekly["scheduleExpression"] == "cron(0 2 ? * SUN *)"
    assert not recorded("dev").of("scheduler.Schedule")
    configure(retrain="daily")
    with pytest.raises(SettingError, match="retrain is 'daily'; it takes off or weekly or on-drift"):
        read_aws_settings()
