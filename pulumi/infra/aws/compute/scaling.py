"""How many: containers of the page by their load, Ray workers by the work that waits for them."""

from typing import Any

import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.parts import Running
from infra.aws.settings import AwsSettings

_PAGE, _WORKERS = "webapp", "ray-worker"
_CPU_PERCENT = 60
METRIC = "WorkersWanted"
# AWS takes at most so many steps in a policy.
_MOST_STEPS = 20


def build(names: Names, settings: AwsSettings, running: Running) -> None:
    """Declare both, and the measure that the second one follows."""
    sizes = settings.environment
    page = _target(names, running, _PAGE, sizes.webapps, sizes.most_webapps)
    aws.appautoscaling.Policy(
        _PAGE,
        name=names.of(_PAGE),
        policy_type="TargetTrackingScaling",
        **_of(page),
        target_tracking_scaling_policy_configuration={
            "predefined_metric_specification": {"predefined_metric_type": "ECSServiceAverageCPUUtilization"},
            "target_value": _CPU_PERCENT,
            "scale_out_cooldown": 60,
            "scale_in_cooldown": 300,
        },
    )
    workers = _target(names, running, _WORKERS, sizes.idle_workers, settings.workers)
    _measure(names, running)
    none = [{"metric_interval_upper_bound": "0", "scaling_adjustment": sizes.idle_workers}]
    _follow(names, workers, "work", above=True, adjustments=steps(sizes.idle_workers, settings.workers))
    _follow(names, workers, "idle", above=False, adjustments=none)


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


def _target(names: Names, running: Running, service: str, least: int, most: int) -> aws.appautoscaling.Target:
    return aws.appautoscaling.Target(
        service,
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id=running.services[service].name.apply(lambda name: f"service/{names.of('cluster')}/{name}"),
        min_capacity=least,
        max_capacity=most,
        tags=names.tags(service),
    )


def _of(target: aws.appautoscaling.Target) -> dict[str, Any]:
    return {
        "service_namespace": target.service_namespace,
        "scalable_dimension": target.scalable_dimension,
        "resource_id": target.resource_id,
    }


def _measure(names: Names, running: Running) -> None:
    """The head says in its log how many workers its work would keep busy: `{"workers_wanted": 3}`."""
    aws.cloudwatch.LogMetricFilter(
        _WORKERS,
        name=names.of(_WORKERS),
        log_group_name=running.log_groups["ray-head"].name,
        pattern="{ $.workers_wanted >= 0 }",
        metric_transformation={"name": METRIC, "namespace": names.project, "value": "$.workers_wanted"},
    )


def _follow(
    names: Names, workers: aws.appautoscaling.Target, name: str, *, above: bool, adjustments: list[dict[str, Any]]
) -> None:
    """Set the number of workers while the measure is at one or above it, or else while it is below."""
    follow: Any = {
        "adjustment_type": "ExactCapacity",
        "metric_aggregation_type": "Maximum",
        "cooldown": 60,
        "step_adjustments": adjustments,
    }
    policy = aws.appautoscaling.Policy(
        f"{_WORKERS}-{name}",
        name=names.of(f"{_WORKERS}-{name}"),
        policy_type="StepScaling",
        **_of(workers),
        step_scaling_policy_configuration=follow,
    )
    aws.cloudwatch.MetricAlarm(
        f"{_WORKERS}-{name}",
        name=names.of(f"{_WORKERS}-{name}"),
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
        tags=names.tags(f"{_WORKERS}-{name}"),
    )
