"""The alarms as plain data: what CloudWatch looks at, and from when on it tells somebody."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.aws.lower import public_services
from infra.spec import LogAlarm, Topology

if TYPE_CHECKING:  # Pulumi is heavy, and the estimate of what a stack costs only counts alarms
    import pulumi

_BYTES_A_GIB = 2**30
# RDS enlarges the disk when so much of it is free for five minutes; less for longer means that it could not.
_FREE_SHARE = 0.1
# What `ray_jobs.demand` writes of the jobs, beside the head: the measure and the field of its line, by name.
MEASURES = {"jobs-waiting": ("JobsOpen", "jobs_open"), "drift": ("Drift", "drift")}
# By which the number of workers is set: while there is work, and while there is none.
BY_WORK = ("work", "idle")
# One that works and two that wait, for an hour.
_MOST_OPEN, _OPEN_MINUTES = 3, 60


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What the alarms look at: names as CloudWatch's dimensions have them, target groups by service.

    `own` are the alarms that services declare themselves, each by the service's name. `heads` are the services beside
    which the jobs are counted.
    """

    namespace: str
    balancer: "pulumi.Input[str]"
    targets: Mapping[str, "pulumi.Input[str]"]
    own: Mapping[str, tuple[LogAlarm, ...]]
    database: "pulumi.Input[str]"
    database_gib: int
    heads: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """The arguments of an alarm, and the service that it is about, if it is about one."""

    service: str | None
    arguments: dict[str, Any]


def alarms(watched: Watched) -> dict[str, Alarm]:
    """Each alarm by name."""
    found = {name: Alarm(service=None, arguments=arguments) for name, arguments in _of_all(watched).items()}
    for service, group in watched.targets.items():
        of_target = _of_target(service, {"LoadBalancer": watched.balancer, "TargetGroup": group})
        found |= {name: Alarm(service=service, arguments=arguments) for name, arguments in of_target.items()}
    for service, declared in watched.own.items():
        for alarm in declared:
            found[alarm.name] = Alarm(service=service, arguments=_of_log(alarm, watched.namespace))
    for head in watched.heads:
        of_jobs = _of_jobs(watched.namespace)
        found |= {name: Alarm(service=head, arguments=arguments) for name, arguments in of_jobs.items()}
    return found


def alarm_names(topology: Topology) -> list[str]:
    """Every alarm of a lowered topology by name: those that tell people, and those that set the number of workers."""
    watched = Watched(
        namespace="",
        balancer="",
        targets={service.name: "" for service in public_services(topology)},
        own={service.name: service.alarms for service in topology.services},
        heads=heads(topology),
        database="",
        database_gib=0,
    )
    scaling = (f"{service.name}-{what}" for service in topology.services if service.follows("work") for what in BY_WORK)
    return [*alarms(watched), *scaling]


def heads(topology: Topology) -> tuple[str, ...]:
    """The services beside which the work is counted."""
    counted = (service.scaling.counted_beside for service in topology.services if service.scaling)
    return tuple(dict.fromkeys(head for head in counted if head))


def _of_jobs(namespace: str) -> dict[str, dict[str, Any]]:
    waiting, drift = (MEASURES[name][0] for name in ("jobs-waiting", "drift"))
    return {
        "jobs-waiting": _alarm(
            f"{_MOST_OPEN} jobs or more have not ended for an hour; raise `workers`, or stop some.",
            (namespace, waiting, "Minimum", {}),
            at_least=_MOST_OPEN,
            minutes=5,
            times=_OPEN_MINUTES // 5,
        ),
        "drift": _alarm(
            "The last drift job found other X-rays than those that Production was judged by; MLflow has its report.",
            (namespace, drift, "Maximum", {}),
            at_least=1,
            missing="ignore",  # until the next drift job says otherwise
        ),
    }


def _of_log(alarm: LogAlarm, namespace: str) -> dict[str, Any]:
    return _alarm(
        alarm.description,
        (namespace, alarm.metric, "Minimum", {}),
        below=1,
        minutes=5,  # every container has said how it stands by then, and one that is in trouble counts
        missing="ignore",  # of a stack that sleeps
    )


def _of_all(watched: Watched) -> dict[str, dict[str, Any]]:
    return {
        "balancer-errors": _alarm(
            "The load balancer itself answered 5xx, five times in five minutes: it reached no service.",
            ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum", {"LoadBalancer": watched.balancer}),
            at_least=5,
            minutes=5,
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


def _of_target(service: str, dimensions: Mapping[str, "pulumi.Input[str]"]) -> dict[str, dict[str, Any]]:
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
    metric: tuple[str, str, str, Mapping[str, "pulumi.Input[str]"]],
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
