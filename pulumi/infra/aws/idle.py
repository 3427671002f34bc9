"""A stack that nobody uses goes to sleep by itself: what EventBridge Scheduler runs on Lambda every quarter of an hour.

It is in use while the load balancer forwards requests or work wants workers, and until it has been awake for the whole
time: `ray_jobs.demand` measures wanted workers every minute that the head runs, so that a gap says when it did not.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.aws.sleep import Clients, NotReadyError, Stack, sleep

PERIOD = timedelta(minutes=15)
# Metrics of the last minutes may still be on their way.
_LATE = timedelta(minutes=5)
# So long a database runs with nobody to ask it before it is stopped again; `make wake` takes ten minutes.
_ALONE = 3
CONFIG = "SLEEPER"  # the variable with what is watched, as JSON


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What is looked at: `balancer` as CloudWatch's dimension has it, and for how many hours nothing may happen.

    `topic` is where people are told, and `wake` what they type.
    """

    namespace: str
    measure: str
    balancer: str
    hours: int
    topic: str
    wake: str


def look(stack: Stack, idle: Idle, clients: Clients, now: datetime) -> str:
    """Put a stack to sleep that nobody has used for so long; says what was found and done."""
    described = clients("ecs").describe_services(cluster=stack.cluster, services=list(stack.services))["services"]
    if not any(service["desiredCount"] for service in described):
        return _keep_asleep(stack, clients, now)
    if (why := _in_use(idle, clients, now)) is not None:
        return why
    try:
        sleep(stack, clients)
    except NotReadyError as error:
        return f"It is idle and stays awake for now: {error}"
    message = f"No request and no job for {idle.hours} hours: {stack.cluster} sleeps. To use it again: {idle.wake}"
    clients("sns").publish(TopicArn=idle.topic, Subject=f"{stack.cluster} sleeps", Message=message)
    return message


def _in_use(idle: Idle, clients: Clients, now: datetime) -> str | None:
    """Why it may not sleep yet; None where nothing holds it awake."""
    periods = round(timedelta(hours=idle.hours) / PERIOD)
    wanted = _measured(clients, now, periods, (idle.namespace, idle.measure, "Maximum", {}))
    if len(wanted) < periods:
        return f"It has not been awake for {idle.hours} hours: {len(wanted)} of {periods} quarters are measured."
    if any(wanted):
        return "Work has wanted workers."
    asked = ("AWS/ApplicationELB", "RequestCount", "Sum", {"LoadBalancer": idle.balancer})
    requests = sum(_measured(clients, now, periods, asked))  # nothing is measured where none came
    return f"There were {requests:g} requests." if requests else None


def _keep_asleep(stack: Stack, clients: Clients, now: datetime) -> str:
    """AWS starts a stopped database after a week; one that runs alone for a while is stopped again."""
    used = ("AWS/RDS", "CPUUtilization", "Average", {"DBInstanceIdentifier": stack.database})
    if len(_measured(clients, now, _ALONE, used)) < _ALONE:
        return "It sleeps."
    [found] = clients("rds").describe_db_instances(DBInstanceIdentifier=stack.database)["DBInstances"]
    if found["DBInstanceStatus"] != "available":
        return "It sleeps."
    clients("rds").stop_db_instance(DBInstanceIdentifier=stack.database)
    return "It sleeps, and its database, which AWS had started, is stopped again."


def _measured(
    clients: Clients, now: datetime, periods: int, metric: tuple[str, str, str, Mapping[str, str]]
) -> Sequence[float]:
    """A value for each of the last periods in which something was measured."""
    namespace, name, statistic, dimensions = metric
    seconds = round(PERIOD.total_seconds())
    end = datetime.fromtimestamp((now - _LATE).timestamp() // seconds * seconds, UTC)
    stat = {
        "Metric": {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        },
        "Period": seconds,
        "Stat": statistic,
    }
    found = clients("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "asked", "MetricStat": stat}], StartTime=end - periods * PERIOD, EndTime=end
    )
    values: Sequence[float] = found["MetricDataResults"][0]["Values"]
    return values


def handler(_event: Any, _context: Any) -> str:
    """What Lambda calls; its answer stands in the log."""
    import boto3  # noqa: PLC0415  Lambda has it

    config = json.loads(os.environ[CONFIG])
    sdk: Any = boto3
    outcome = look(Stack(**config["stack"]), Idle(**config["idle"]), sdk.client, datetime.now(UTC))
    print(outcome)
    return outcome
