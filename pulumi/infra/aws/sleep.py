"""A stack that nobody uses for a while: `make sleep` stops what is paid by the hour and can be stopped, `make wake`
starts it again. Data, addresses and settings stay as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# A client of a service in the stack's region, as boto3 makes it.
Clients = Callable[[str], Any]
# AWS starts a stopped database by itself after so long, for its maintenance.
MOST_DAYS = 7
_WAITED = {"Delay": 15, "MaxAttempts": 80}


class NotReadyError(RuntimeError):
    """The database is between two states, so that it can be neither stopped nor started; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What there is to stop: names as AWS has them; `services` has how many containers each has when it is awake.

    A service stands behind those that it waits for. `scaled` are those whose number autoscaling sets, and `alarms` are
    the names of this stack's: what they begin with is how those of another stack may begin too.
    """

    cluster: str
    services: Mapping[str, int]
    scaled: Sequence[str]
    database: str
    alarms: Sequence[str]


def sleep(stack: Stack, clients: Clients) -> list[str]:
    """Stop containers and database; gives a line for each thing done. Whatever sleeps already stays so."""
    state = _state(stack, clients)
    if state not in ("available", "stopping", "stopped"):
        raise NotReadyError(f"The database is {state} and cannot be stopped; wait some minutes and type it again.")
    clients("cloudwatch").disable_alarm_actions(AlarmNames=_alarms(stack, clients))  # they would all ring
    done = ["alarms are silent"]
    for name in reversed(list(stack.services)):
        _scale_by_itself(stack, name, clients, still=True)
        clients("ecs").update_service(cluster=stack.cluster, service=name, desiredCount=0)
        done.append(f"{name} has no containers")
    if state == "available":
        clients("rds").stop_db_instance(DBInstanceIdentifier=stack.database)
    return [*done, f"{stack.database} stops, for {MOST_DAYS} days at most: then AWS starts it by itself"]


def wake(stack: Stack, clients: Clients) -> list[str]:
    """Start the database, then containers, and wait until they run; gives a line for each thing done."""
    rds, ecs = clients("rds"), clients("ecs")
    state = _state(stack, clients)
    if state == "stopping":
        raise NotReadyError("The database is still stopping; wait some minutes and type it again.")
    if state == "stopped":
        rds.start_db_instance(DBInstanceIdentifier=stack.database)
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=stack.database, WaiterConfig=_WAITED)
    done = [f"{stack.database} runs"]
    for name, count in stack.services.items():
        ecs.update_service(cluster=stack.cluster, service=name, desiredCount=count)
        _scale_by_itself(stack, name, clients, still=False)
        done.append(f"{name} has {count} containers")
    return done


def when_awake(stack: Stack, clients: Clients) -> None:
    """Wait until every container that was asked for runs, then let alarms ring again, also where one does not come.

    Alarms start workers, too.
    """
    waiter = clients("ecs").get_waiter("services_stable")
    try:
        waiter.wait(cluster=stack.cluster, services=list(stack.services), WaiterConfig=_WAITED)
    finally:
        clients("cloudwatch").enable_alarm_actions(AlarmNames=_alarms(stack, clients))


def _scale_by_itself(stack: Stack, name: str, clients: Clients, *, still: bool) -> None:
    """Hold autoscaling still, which would otherwise start containers again, or let it go on."""
    if name not in stack.scaled:
        return
    kinds = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
    clients("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=f"service/{stack.cluster}/{name}",
        ScalableDimension="ecs:service:DesiredCount",
        SuspendedState=dict.fromkeys(kinds, still),
    )


def _alarms(stack: Stack, clients: Clients) -> list[str]:
    pages = clients("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNames=list(stack.alarms))
    return [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]


def _state(stack: Stack, clients: Clients) -> str:
    [found] = clients("rds").describe_db_instances(DBInstanceIdentifier=stack.database)["DBInstances"]
    return str(found["DBInstanceStatus"])
