"""A stack that sleeps has no containers and a stopped database, and wakes as it was; on a simulated AWS."""

import itertools
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import WaiterError

from infra import stack as stacks
from infra.__main__ import main
from infra.aws import sleep
from infra.aws.account import commands
from infra.aws.sleep import NotReadyError, Stack
from tests.infra.support.graph import recorded

CLUSTER = "hm-mlflow-cluster"
STACK = Stack(
    cluster=CLUSTER,
    services={"hm-mlflow-mlflow": 1, "hm-mlflow-webapp": 2, "hm-mlflow-ray-worker": 0},
    scaled=("hm-mlflow-webapp", "hm-mlflow-ray-worker"),
    database="hm-mlflow-database-1",
    alarms=("hm-mlflow-webapp-missing",),
)
ANOTHER_STACK_S = "hm-mlflow-prod-webapp-missing"  # of `aws-prod`, which is in the same account


# The simulation keeps what it has for all tests, each region by itself.
REGIONS = itertools.cycle(
    (
        *("eu-north-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-south-1", "us-west-1", "us-west-2", "us-east-2"),
        *("sa-east-1", "ca-central-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
        *("ap-southeast-1", "eu-central-2", "ap-southeast-3", "ap-east-1", "af-south-1", "me-south-1"),
    )
)


@pytest.fixture
def clients(aws_server: str) -> Any:
    region = next(REGIONS)

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=aws_server,
            region_name=region,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    ecs, scaling = client("ecs"), client("application-autoscaling")
    ecs.create_cluster(clusterName=CLUSTER)
    container = {"name": "x", "image": "x", "memory": 512}
    ecs.register_task_definition(family="x", containerDefinitions=[container])
    for name, count in STACK.services.items():
        ecs.create_service(cluster=CLUSTER, serviceName=name, taskDefinition="x", desiredCount=count)
    for name in STACK.scaled:
        scaling.register_scalable_target(**target(name), MinCapacity=0, MaxCapacity=4)
    client("rds").create_db_instance(
        DBInstanceIdentifier=STACK.database,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="mlflow",
        MasterUserPassword="a password",
    )
    for name in ("hm-mlflow-webapp-missing", ANOTHER_STACK_S):
        client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            MetricName="x",
            Namespace="x",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
            ActionsEnabled=True,
        )
    return client


def target(name: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{CLUSTER}/{name}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }


def counts(clients: Any) -> dict[str, int]:
    found = clients("ecs").describe_services(cluster=CLUSTER, services=list(STACK.services))["services"]
    return {service["serviceName"]: service["desiredCount"] for service in found}


def database(clients: Any) -> str:
    return clients("rds").describe_db_instances()["DBInstances"][0]["DBInstanceStatus"]


def held_still(clients: Any) -> list[bool]:
    found = clients("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert {one["MaxCapacity"] for one in found} == {4}  # its limits stay
    return [one["SuspendedState"]["DynamicScalingOutSuspended"] for one in found]


def silent(clients: Any) -> dict[str, bool]:
    found = clients("cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"]: not alarm["ActionsEnabled"] for alarm in found}


def test_asleep_nothing_runs_and_nothing_starts_or_rings_by_itself(clients: Any):
    told = sleep.sleep(STACK, clients)
    assert counts(clients) == dict.fromkeys(STACK.services, 0)
    assert database(clients) == "stopped"
    assert held_still(clients) == [True, True]
    assert silent(clients) == {"hm-mlflow-webapp-missing": True, ANOTHER_STACK_S: False}
    assert "hm-mlflow-database-1 stops, for 7 days at most" in told[-1]


def test_whoever_sleeps_can_be_put_to_sleep_again(clients: Any):
    sleep.sleep(STACK, clients)
    sleep.sleep(STACK, clients)
    assert database(clients) == "stopped"


def test_it_wakes_as_it_was(clients: Any):
    sleep.sleep(STACK, clients)
    sleep.wake(STACK, clients)
    assert counts(clients) == dict(STACK.services)
    assert database(clients) == "available"
    assert held_still(clients) == [False, False]


def test_waking_what_is_awake_changes_nothing(clients: Any):
    sleep.wake(STACK, clients)
    assert counts(clients) == dict(STACK.services)
    assert database(clients) == "available"


@pytest.mark.parametrize(("state", "refused"), [("stopping", sleep.wake), ("backing-up", sleep.sleep)])
def test_a_database_between_two_states_is_waited_for(clients: Any, monkeypatch, state: str, refused):
    monkeypatch.setattr(sleep, "_state", lambda *_: state)  # the simulation knows none in between
    with pytest.raises(NotReadyError, match=r"wait some minutes and type it again"):
        refused(STACK, clients)


def test_alarms_ring_again_once_the_containers_run(clients: Any):
    sleep.sleep(STACK, clients)
    none = Stack(cluster=CLUSTER, services={"hm-mlflow-mlflow": 0}, scaled=(), database="", alarms=STACK.alarms)
    sleep.when_awake(none, clients)  # the simulation runs no container: a service that has as many as asked for
    assert silent(clients) == {"hm-mlflow-webapp-missing": False, ANOTHER_STACK_S: False}


def test_alarms_ring_again_also_where_a_container_does_not_come(clients: Any, monkeypatch):
    sleep.sleep(STACK, clients)
    monkeypatch.setattr(sleep, "_WAITED", {"Delay": 0, "MaxAttempts": 1})
    with pytest.raises(WaiterError):  # the simulation runs no container
        sleep.when_awake(replace(STACK, services={"hm-mlflow-nothing": 1}), clients)
    assert silent(clients)["hm-mlflow-webapp-missing"] is False


def test_the_stack_is_read_from_its_outputs_and_its_settings(monkeypatch):
    monkeypatch.setattr(stacks, "settings_of", lambda _: {"environment": "prod", "aws:region": "eu-west-1"})
    monkeypatch.setattr(stacks, "read_setting", lambda *_: None)
    said = {"cluster": CLUSTER, "database": "hm-mlflow-database-1", "deployed": {}}
    monkeypatch.setattr(commands, "outputs", lambda _: said)
    found = commands.stoppable("aws")
    assert found.services == {
        "hm-mlflow-mlflow": 1,
        "hm-mlflow-ray-head": 1,
        "hm-mlflow-ray-worker": 1,
        "hm-mlflow-webapp": 2,
    }
    assert set(found.scaled) == {"hm-mlflow-ray-worker", "hm-mlflow-webapp"}
    assert list(found.services).index("hm-mlflow-ray-head") < list(found.services).index("hm-mlflow-ray-worker")
    declared = {alarm["name"] for alarm in recorded("prod").of("cloudwatch.MetricAlarm").values()}
    assert set(found.alarms) == declared
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    with pytest.raises(stacks.StackError, match=r"aws is not up, or was last brought up before .*: make up STACK=aws"):
        commands.stoppable("aws")


@pytest.mark.parametrize("command", ["sleep", "wake"])
def test_an_environment_that_there_is_not_is_said_with_those_that_there_are(command: str, monkeypatch):
    """The mail of the budget says to type it, and settings may have changed since `make up`."""
    monkeypatch.setattr(stacks, "settings_of", lambda _: {"environment": "production"})
    monkeypatch.setattr(commands, "outputs", lambda _: {"cluster": CLUSTER, "database": "hm-mlflow-database-1"})
    monkeypatch.setattr("sys.argv", ["infra", command, "aws"])
    with pytest.raises(SystemExit, match="environment is 'production'; it takes dev or prod, for example"):
        main()
