"""What tells people that something is wrong: alarms to an e-mail address, and the dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.parts import Edge, Running, Stores
from infra.aws.settings import AwsSettings
from infra.aws.watch.dashboard import dashboard

# Messages that the watcher (serve/production/watcher.py) writes to its JSON log; a test holds the two together.
NO_MODEL, MODEL = "*no model serves yet*", "Serving *"
PAGE = "webapp"
_METRIC = "ReadyModel"
_BYTES_A_GIB = 2**30
# RDS enlarges the disk when so much of it is free for five minutes; less for longer means that it could not.
_FREE_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What the alarms look at: names as CloudWatch's dimensions have them, target groups by service."""

    namespace: str
    balancer: pulumi.Input[str]
    targets: Mapping[str, pulumi.Input[str]]
    database: pulumi.Input[str]
    database_gib: int


def build(
    *,
    names: Names,
    settings: AwsSettings,
    stores: Stores,
    edge: Edge,
    running: Running,
    key: pulumi.Input[str] | None = None,
) -> dict[str, aws.cloudwatch.MetricAlarm]:
    """Declare topic, alarms and dashboard; gives the alarms by name.

    `key`, the ARN of a KMS key, encrypts the messages; its policy has to contain `key_statement`, or none arrives.
    """
    watched = Watched(
        namespace=names.project,
        balancer=edge.load_balancer.arn_suffix,
        targets={service: group.arn_suffix for service, group in edge.target_groups.items()},
        database=stores.database.identifier,
        database_gib=settings.environment.database_gib,
    )
    topic = aws.sns.Topic("alarms", name=names.of("alarms"), kms_master_key_id=key, tags=names.tags("alarms"))
    aws.sns.TopicSubscription("alarms", topic=topic.arn, protocol="email", endpoint=settings.alert_email)
    for name, (pattern, value) in {"ready-model": (MODEL, "1"), "no-model": (NO_MODEL, "0")}.items():
        aws.cloudwatch.LogMetricFilter(
            name,
            name=names.of(name),
            log_group_name=running.log_groups[PAGE].name,
            pattern=f'{{ $.logger = "serve.production.watcher" && $.message = "{pattern}" }}',
            metric_transformation={"name": _METRIC, "namespace": watched.namespace, "value": value},
        )
    made = {
        name: aws.cloudwatch.MetricAlarm(
            name,
            name=names.of(name),
            **arguments,
            alarm_actions=[topic.arn],
            ok_actions=[topic.arn],
            tags=names.tags(name),
        )
        for name, arguments in alarms(watched).items()
    }
    aws.cloudwatch.Dashboard(
        "dashboard",
        dashboard_name=names.project,
        dashboard_body=pulumi.Output.json_dumps(
            dashboard(
                region=names.region,
                balancer=watched.balancer,
                targets=watched.targets,
                cluster=running.cluster.name,
                services={name: service.name for name, service in running.services.items()},
                database=watched.database,
                alarms=[alarm.arn for alarm in made.values()],
            )
        ),
    )
    return made


def key_statement(names: Names) -> dict[str, Any]:
    """What the policy of a key says so that CloudWatch can encrypt with it what it sends to the topic."""
    return {
        "Sid": "AlarmsAreSent",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",  # in a key's policy: this key
        "Condition": {
            "StringEquals": {"aws:SourceAccount": names.account},
            "ArnLike": {"aws:SourceArn": names.arn("cloudwatch", "alarm:*")},
        },
    }


def alarms(watched: Watched) -> dict[str, dict[str, Any]]:
    """Arguments of each alarm by name."""
    found = {
        "balancer-errors": _alarm(
            "The load balancer itself answered 5xx, five times in five minutes: it reached no service.",
            ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum", {"LoadBalancer": watched.balancer}),
            at_least=5,
            minutes=5,
        ),
        "no-ready-model": _alarm(
            "A page started and has no verified model to answer with; its log says why.",
            (watched.namespace, _METRIC, "Minimum", {}),
            below=1,
            missing="ignore",  # the page says it once and is silent until that changes, so its last word counts
        ),
        "database-storage": _alarm(
            f"Less than {_FREE_SHARE:.0%} of the database's first {watched.database_gib} GiB is free; it did not grow.",
            ("AWS/RDS", "FreeStorageSpace", "Maximum", {"DBInstanceIdentifier": watched.database}),
            below=int(_FREE_SHARE * watched.database_gib * _BYTES_A_GIB),
            minutes=5,
            times=3,
        ),
        "database-processor": _alarm(
            "The database has used 80 % of its processor for a quarter of an hour.",
            ("AWS/RDS", "CPUUtilization", "Average", {"DBInstanceIdentifier": watched.database}),
            at_least=80,
            minutes=5,
            times=3,
        ),
    }
    for service, group in watched.targets.items():
        found |= _of_target(service, {"LoadBalancer": watched.balancer, "TargetGroup": group})
    return found


def _of_target(service: str, dimensions: Mapping[str, pulumi.Input[str]]) -> dict[str, dict[str, Any]]:
    return {
        f"{service}-errors": _alarm(
            f"{service} answered 5xx, five times or more in five minutes.",
            ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum", dimensions),
            at_least=5,
            minutes=5,
        ),
        f"{service}-unhealthy": _alarm(
            f"A container of {service} has failed its health check for three minutes.",
            ("AWS/ApplicationELB", "UnHealthyHostCount", "Maximum", dimensions),
            at_least=1,
            times=3,
        ),
        f"{service}-missing": _alarm(
            f"No container of {service} has been healthy for three minutes.",
            ("AWS/ApplicationELB", "HealthyHostCount", "Maximum", dimensions),
            below=1,
            times=3,
            missing="breaching",  # without any container the balancer reports nothing
        ),
    }


def _alarm(
    description: str,
    metric: tuple[str, str, str, Mapping[str, pulumi.Input[str]]],
    *,
    at_least: float | None = None,
    below: float | None = None,
    minutes: int = 1,
    times: int = 1,
    missing: str = "notBreaching",
) -> dict[str, Any]:
    namespace, name, statistic, dimensions = metric
    return {
        "alarm_description": description,
        "namespace": namespace,
        "metric_name": name,
        "statistic": statistic,
        "dimensions": dict(dimensions),
        "comparison_operator": "LessThanThreshold" if at_least is None else "GreaterThanOrEqualToThreshold",
        "threshold": below if at_least is None else at_least,
        "period": minutes * 60,
        "evaluation_periods": times,
        "treat_missing_data": missing,
    }
