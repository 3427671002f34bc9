"""What puts a stack to sleep that nobody uses: a schedule, and the small function that it runs (`infra.aws.idle`)."""

from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.aws import idle
from infra.aws.compute.iam import Statement, allow, document, role, trust
from infra.aws.compute.scaling import METRIC
from infra.aws.lower import NOTEBOOK
from infra.aws.names import Names
from infra.aws.parts import Compute, Edge, Stores
from infra.aws.settings import AwsSettings
from infra.aws.watch.alarms import alarm_names
from infra.groups import Groups
from infra.settings import ROOT
from infra.spec import Topology

NAME = "sleeper"
_FILES = ("infra/__init__.py", "infra/aws/__init__.py", "infra/aws/idle.py", "infra/aws/sleep.py")
_SECONDS, _MIB = 60, 256


def build(
    topology: Topology,
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    *,
    stores: Stores,
    edge: Edge,
    compute: Compute,
    topic: pulumi.Input[str],
    key: pulumi.Input[str],
) -> None:
    """Declare them; `topic` is where people are told, and `key` what encrypts its messages."""
    opts = groups.within("Sleeper", NAME)
    log = aws.cloudwatch.LogGroup(
        NAME,
        name=f"/aws/lambda/{names.of(NAME)}",
        retention_in_days=settings.environment.log_days,
        tags=names.tags(NAME),
        opts=opts,
    )
    policy = pulumi.Output.all(stores.database.arn, topic, key).apply(
        lambda arns: document(_statements(names, *(str(arn) for arn in arns)))
    )
    held = role(groups, NAME, names, NAME, assume=trust("lambda.amazonaws.com", names), policy=policy, kind="Sleeper")
    config = _config(topology, names, settings.sleep_after, stores=stores, edge=edge, compute=compute, topic=topic)
    function = aws.lambda_.Function(
        NAME,
        name=names.of(NAME),
        description=f"{names.project}: sleeps after {settings.sleep_after} hours without a request or a job",
        runtime="python3.13",
        architectures=["arm64"],
        handler="infra.aws.idle.handler",
        code=pulumi.AssetArchive({file: pulumi.FileAsset(str(_source(file))) for file in _FILES}),
        role=held.arn,
        timeout=_SECONDS,
        memory_size=_MIB,
        environment={"variables": {idle.CONFIG: config}},
        tags=names.tags(NAME),
        opts=groups.within("Sleeper", NAME, depends_on=[log]),
    )
    caller = role(
        groups,
        NAME,
        names,
        f"{NAME}-schedule",
        assume=trust("scheduler.amazonaws.com", names, names.arn("scheduler", "schedule-group/default")),
        policy=function.arn.apply(lambda arn: document([allow(("lambda:InvokeFunction",), arn)])),
        kind="Sleeper",
    )
    aws.scheduler.Schedule(
        NAME,
        name=names.of(NAME),
        description="Looks whether anybody uses the stack",
        schedule_expression=f"rate({round(idle.PERIOD.total_seconds() / 60)} minutes)",
        flexible_time_window={"mode": "OFF"},
        target={"arn": function.arn, "role_arn": caller.arn, "retry_policy": {"maximum_retry_attempts": 0}},
        opts=opts,
    )


def _source(file: str) -> Path:
    return ROOT / "pulumi" / file


def _config(
    topology: Topology,
    names: Names,
    hours: int,
    *,
    stores: Stores,
    edge: Edge,
    compute: Compute,
    topic: pulumi.Input[str],
) -> pulumi.Output[str]:
    """What the function is told: the arguments of `Stack` and `Idle`."""
    services = [one for one in topology.in_order() if one.name != NOTEBOOK and not one.once]
    return pulumi.Output.json_dumps(
        {
            "stack": {
                "cluster": compute.cluster.name,
                "services": {names.of(service.name): service.replicas for service in services},
                "scaled": [names.of(service.name) for service in services if service.scaling],
                "database": stores.database.identifier,
                "alarms": [names.of(alarm) for alarm in alarm_names(topology)],
            },
            "idle": {
                "namespace": names.project,
                "measure": METRIC,
                "balancer": edge.load_balancer.arn_suffix,
                "hours": hours,
                "topic": topic,
                "wake": f"make wake STACK={names.stack}",
            },
        }
    )


def _statements(names: Names, database: str, topic: str, key: str) -> list[Statement]:
    """What `infra.aws.sleep.sleep` and `infra.aws.idle.look` call, for this stack alone."""
    alarms, services = names.arn("cloudwatch", f"alarm:{names.of('*')}"), names.arn("ecs", f"service/{names.of('*')}")
    return [
        allow(("cloudwatch:GetMetricData",), "*"),  # it takes no resource
        allow(("cloudwatch:DescribeAlarms",), names.arn("cloudwatch", "alarm:*")),
        allow(("cloudwatch:DisableAlarmActions",), alarms),
        allow(("ecs:DescribeServices", "ecs:UpdateService"), services),
        allow(
            ("application-autoscaling:RegisterScalableTarget",),
            names.arn("application-autoscaling", "scalable-target/*"),
        ),
        allow(("rds:DescribeDBInstances", "rds:StopDBInstance"), database),
        allow(("sns:Publish",), topic),
        allow(("kms:Decrypt", "kms:GenerateDataKey"), key),
        allow(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            names.arn("logs", f"log-group:/aws/lambda/{names.of(NAME)}:*"),
        ),
    ]
