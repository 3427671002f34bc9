"""How many: containers of a service that follows its load, and Ray workers by the work that waits for them."""

from typing import Any

import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.parts import Compute
from infra.aws.settings import AwsSettings
from infra.aws.watch.alarms import BY_WORK
from infra.groups import Groups
from infra.spec import Service, Topology

_CPU_PERCENT = 60
METRIC = "WorkersWanted"
# AWS takes at most so many steps in a policy.
_MOST_STEPS = 20


def build(topology: Topology, names: Names, settings: AwsSettings, groups: Groups, *, compute: Compute) -> None:
    """Declare for each service that scales how it does."""
    for service in topology.services:
        if service.follows("load"):
            _by_load(service, names, settings, groups, compute)
        elif service.scaling:
            _by_work(service, service.scaling.counted_beside, names, settings, groups, compute=compute)


def _by_load(service: Service, names: Names, settings: AwsSettings, groups: Groups, compute: Compute) -> None:
    sizes = settings.environment
    target = _target(names, groups, compute, service.name, least=sizes.replicas, most=sizes.most_replicas)
    aws.appautoscaling.Policy(
        service.name,
        name=names.of(service.name),
        policy_type="TargetTrackingScaling",
        **_of(target),
        target_tracking_scaling_policy_configuration={
            "predefined_metric_specification": {"predefined_metric_type": "ECSServiceAverageCPUUtilization"},
            "target_value": _CPU_PERCENT,
            "scale_out_cooldown": 60,
            "scale_in_cooldown": 300,
        },
        opts=groups.within("Service", service.name),
    )


def _by_work(
    service: Service, head: str, names: Names, settings: AwsSettings, groups: Groups, *, compute: Compute
) -> None:
    """The program beside `head` writes to its log how many the work would keep busy: `{"workers_wanted": 3}`."""
    idle = settings.environment.idle_workers
    workers = _target(names, groups, compute, service.name, least=idle, most=settings.workers)
    aws.cloudwatch.LogMetricFilter(
        service.name,
        name=names.of(service.name),
        log_group_name=compute.log_groups[head].name,
        pattern="{ $.workers_wanted >= 0 }",
        metric_transformation={"name": METRIC, "namespace": names.project, "value": "$.workers_wanted"},
        opts=groups.within("Service", service.name),
    )
    none = [{"metric_interval_upper_bound": "0", "scaling_adjustment": idle}]
    some = steps(idle, settings.workers)
    working, resting = BY_WORK
    _follow(names, groups, service.name, workers, working, above=True, adjustments=some)
    _follow(names, groups, service.name, workers, resting, above=False, adjustments=none)


def steps(least: int, most: int) -> list[dict[str, Any]]:
    """For each number of workers that is wanted, how many there shall be; in larger steps where there are too many.

    The bounds count from the alarm's threshold of one worker.
    """
    width = -(-most // _MOST_STEPS)
    found = []
    for wanted in range(1, most + 1, width):
        last = wanted + width > most
        bounds = {"metric_interval_lower_bound": str(wanted - 1)}
        if not last:
            bounds["metric_interval_upper_bound"] = str(wanted - 1 + width)
        found.append(bounds | {"scaling_adjustment": max(least, min(most, wanted + width - 1))})
    return found


def _target(
    names: Names, groups: Groups, compute: Compute, service: str, *, least: int, most: int
) -> aws.appautoscaling.Target:
    return aws.appautoscaling.Target(
        service,
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id=compute.services[service].name.apply(lambda name: f"service/{names.of('cluster')}/{name}"),
        min_capacity=least,
        max_capacity=most,
        tags=names.tags(service),
        opts=groups.within("Service", service),
    )


def _of(target: aws.appautoscaling.Target) -> dict[str, Any]:
    return {
        "service_namespace": target.service_namespace,
        "scalable_dimension": target.scalable_dimension,
        "resource_id": target.resource_id,
    }


def _follow(
    names: Names,
    groups: Groups,
    service: str,
    workers: aws.appautoscaling.Target,
    name: str,
    *,
    above: bool,
    adjustments: list[dict[str, Any]],
) -> None:
    """Set the number of workers while the measure is at one or above it, or else while it is below."""
    follow: Any = {
        "adjustment_type": "ExactCapacity",
        "metric_aggregation_type": "Maximum",
        "cooldown": 60,
        "step_adjustments": adjustments,
    }
    policy = aws.appautoscaling.Policy(
        f"{service}-{name}",
        name=names.of(f"{service}-{name}"),
        policy_type="StepScaling",
        **_of(workers),
        step_scaling_policy_configuration=follow,
        opts=groups.within("Service", service),
    )
    aws.cloudwatch.MetricAlarm(
        f"{service}-{name}",
        name=names.of(f"{service}-{name}"),
        alarm_description=f"Sets the number of Ray workers: {name}",
        namespace=names.project,
        metric_name=METRIC,
        statistic="Maximum",
        period=60,
        evaluation_periods=1,
        threshold=1,
        comparison_operator="GreaterThanOrEqualToThreshold" if above else "LessThanThreshold",
        treat_missing_data="ignore",
        alarm_actions=[policy.arn],
        tags=names.tags(f"{service}-{name}"),
        opts=groups.within("Service", service),
    )
