"""Retraining on AWS: EventBridge starts the training task with another command, weekly, or daily to look for drift."""

import json

import pulumi
import pulumi_aws as aws

from infra.aws.compute.iam import allow, document, role, trust
from infra.aws.lower import TRAINING
from infra.aws.names import Names
from infra.aws.parts import Compute, Network
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import Topology

_NAME = "retraining"
# In UTC, when few work; a job that is due while another runs is refused by the job itself.
_WHEN = {"weekly": "cron(0 2 ? * SUN *)", "on-drift": "cron(0 2 * * ? *)"}
_WITHIN_MINUTES = 30
_SCHEDULER = "scheduler.amazonaws.com"


def build(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups, *, network: Network, compute: Compute
) -> None:
    """Declare the schedule and the role by which it starts the task; nothing where `retrain` is off."""
    if settings.retrain == "off":
        return
    task = compute.task_definitions[TRAINING]
    opts = groups.within("Service", TRAINING)
    policy = pulumi.Output.all(
        task.arn_without_revision, compute.cluster.arn, task.execution_role_arn, task.task_role_arn
    )
    starts = role(
        groups,
        TRAINING,
        names,
        _NAME,
        assume=trust(_SCHEDULER, names, names.arn("scheduler", "schedule-group/default")),
        policy=policy.apply(
            lambda arns: document(
                [
                    allow(("ecs:RunTask",), f"{arns[0]}:*", ArnEquals={"ecs:cluster": arns[1]}),
                    allow(
                        ("iam:PassRole",), *arns[2:], StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"}
                    ),
                ]
            )
        ),
    )
    aws.scheduler.Schedule(
        _NAME,
        name=names.of(_NAME),
        description=f"Trains again: {settings.retrain}",
        schedule_expression=_WHEN[settings.retrain],
        schedule_expression_timezone="UTC",
        flexible_time_window={"mode": "FLEXIBLE", "maximum_window_in_minutes": _WITHIN_MINUTES},
        target={
            "arn": compute.cluster.arn,
            "role_arn": starts.arn,
            "input": json.dumps(
                {"containerOverrides": [{"name": TRAINING, "command": command(topology, settings.retrain)}]}
            ),
            # One that could not start is not tried for a day: the next is due by then.
            "retry_policy": {"maximum_event_age_in_seconds": 3600, "maximum_retry_attempts": 5},
            "ecs_parameters": {
                "task_definition_arn": task.arn_without_revision,
                "task_count": 1,
                "launch_type": "FARGATE",
                "network_configuration": {
                    "subnets": [subnet.id for subnet in network.service_subnets],
                    "security_groups": [network.groups[TRAINING].id],
                    "assign_public_ip": network.public_addresses,
                },
            },
        },
        opts=opts,
    )


def command(topology: Topology, retrain: str) -> list[str]:
    """What the task does instead of a training: it submits a retraining to the cluster, and follows it to its end."""
    words = [str(word) for word in topology.service(TRAINING).command]
    return [*words[: words.index("--") + 1], "python", "-m", "ray_jobs.retrain", "--because", retrain]
