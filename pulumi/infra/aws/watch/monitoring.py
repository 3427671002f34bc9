"""What tells people that something is wrong: alarms to an e-mail address, and the dashboard."""

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.parts import Compute, Edge, Stores
from infra.aws.settings import AwsSettings
from infra.aws.watch.alarms import MEASURES, Watched, alarms, heads
from infra.aws.watch.dashboard import dashboard
from infra.groups import Groups
from infra.spec import LogAlarm, Topology


def build(
    topology: Topology,
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    *,
    stores: Stores,
    edge: Edge,
    compute: Compute,
    key: pulumi.Input[str] | None = None,
) -> aws.sns.Topic:
    """Declare topic, alarms and dashboard; gives the topic, by which people are told.

    `key`, the ARN of a KMS key, encrypts the messages; its policy has to contain `key_statement`, or none arrives.
    """
    opts = groups.within("Monitoring", "monitoring")
    watched = Watched(
        namespace=names.project,
        balancer=edge.load_balancer.arn_suffix,
        targets={service: group.arn_suffix for service, group in edge.target_groups.items()},
        own={service.name: service.alarms for service in topology.services},
        heads=heads(topology),
        database=stores.database.identifier,
        database_gib=settings.environment.database_gib,
    )
    topic = aws.sns.Topic(
        "alarms", name=names.of("alarms"), kms_master_key_id=key, tags=names.tags("alarms"), opts=opts
    )
    aws.sns.TopicSubscription("alarms", topic=topic.arn, protocol="email", endpoint=settings.alert_email, opts=opts)
    for service in topology.services:
        for alarm in service.alarms:
            _filters(alarm, service.name, names, groups, compute)
    for head in watched.heads:
        _of_jobs(head, names, groups, compute)
    made = {
        name: aws.cloudwatch.MetricAlarm(
            name,
            name=names.of(name),
            **alarm.arguments,
            alarm_actions=[topic.arn],
            ok_actions=[topic.arn],
            tags=names.tags(name),
            # Not before the service runs: without a container it would ring at every first `up`.
            opts=groups.within("Service", alarm.service, depends_on=[compute.services[alarm.service]])
            if alarm.service
            else opts,
        )
        for name, alarm in alarms(watched).items()
    }
    aws.cloudwatch.Dashboard(
        "dashboard",
        dashboard_name=names.project,
        dashboard_body=pulumi.Output.json_dumps(
            dashboard(
                region=names.region,
                balancer=watched.balancer,
                targets=watched.targets,
                cluster=compute.cluster.name,
                services={name: service.name for name, service in compute.services.items()},
                database=watched.database,
                alarms=[alarm.arn for alarm in made.values()],
                insights=settings.environment.insights,
            )
        ),
        opts=opts,
    )
    return topic


def _filters(alarm: LogAlarm, service: str, names: Names, groups: Groups, compute: Compute) -> None:
    """A measure that the line which raises an alarm sets to 0, and the one which ends it to 1."""
    for (name, event), value in ((alarm.ended_by, "1"), (alarm.raised_by, "0")):
        fields = {"logger": alarm.logger, **event}
        aws.cloudwatch.LogMetricFilter(
            name,
            name=names.of(name),
            log_group_name=compute.log_groups[service].name,
            pattern="{ " + " && ".join(f'$.{field} = "{text}"' for field, text in fields.items()) + " }",
            metric_transformation={"name": alarm.metric, "namespace": names.project, "value": value},
            opts=groups.within("Service", service),
        )


def _of_jobs(head: str, names: Names, groups: Groups, compute: Compute) -> None:
    """What the program beside a head writes to its log of the jobs, as measures."""
    for name, (metric, field) in MEASURES.items():
        aws.cloudwatch.LogMetricFilter(
            name,
            name=names.of(name),
            log_group_name=compute.log_groups[head].name,
            pattern=f"{{ $.{field} >= 0 }}",
            metric_transformation={"name": metric, "namespace": names.project, "value": f"$.{field}"},
            opts=groups.within("Service", head),
        )


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
