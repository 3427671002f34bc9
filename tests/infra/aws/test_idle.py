"""A stack that nobody uses goes to sleep by itself, and one that is used or has just been woken does not."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.aws import idle
from infra.aws.compute import sleeper
from infra.aws.idle import Idle, look
from infra.aws.imagined import graph_of
from infra.aws.rules.every import broken
from infra.settings import ROOT
from tests.infra.aws.test_limits import found
from tests.infra.aws.test_sleep import STACK, clients, counts, database, silent
from tests.infra.support.graph import CIDRS, REGION, Graph, defaults, record

assert clients  # a fixture that is shared with the tests of `make sleep`
NOW = datetime(2026, 11, 29, 5, 7, tzinfo=UTC)
IDLE = Idle(
    namespace="hm-mlflow",
    measure="WorkersWanted",
    balancer="app/hm-mlflow-edge/1",
    hours=4,
    topic="",
    wake="make wake STACK=aws",
)


class Measured:
    """CloudWatch's measures as a test says them, in place of those of the simulation, whose clock is another one."""

    def __init__(self, clients: Callable[[str], Any]) -> None:
        self.clients = clients
        self.values: dict[str, list[float]] = {}
        self.asked: list[dict[str, Any]] = []
        self.topic = clients("sns").create_topic(Name="alarms")["TopicArn"]
        self.actions: set[str] = set()

    def client(self, service: str) -> Any:
        made = self.clients(service)
        made.meta.events.register("before-call.*", lambda model, **_: self.actions.add(f"{service}:{model.name}"))
        if service == "cloudwatch":
            made.get_metric_data = self._measured
        return made

    def _measured(self, **asked: Any) -> dict[str, Any]:
        self.actions.add("cloudwatch:GetMetricData")
        self.asked.append(asked)
        [query] = asked["MetricDataQueries"]
        return {"MetricDataResults": [{"Values": self.values.get(query["MetricStat"]["Metric"]["MetricName"], [])}]}

    def look(self) -> str:
        return look(STACK, Idle(**asdict(IDLE) | {"topic": self.topic}), self.client, NOW)


@pytest.fixture
def aws(clients: Any) -> Measured:
    made = Measured(clients)
    made.values = {"WorkersWanted": [0.0] * 16}
    return made


def test_after_so_long_without_a_request_and_a_job_it_sleeps_and_says_how_to_wake_it(aws: Measured):
    told = aws.look()
    assert told == "No request and no job for 4 hours: hm-mlflow-cluster sleeps. To use it again: make wake STACK=aws"
    assert counts(aws.clients) == dict.fromkeys(STACK.services, 0)
    assert database(aws.clients) == "stopped"
    assert silent(aws.clients)["hm-mlflow-webapp-missing"]
    for asked in aws.asked:  # whole quarters, of which the last measures have arrived
        assert (asked["StartTime"], asked["EndTime"]) == (
            datetime(2026, 11, 29, 1, 0, tzinfo=UTC),
            datetime(2026, 11, 29, 5, 0, tzinfo=UTC),
        )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"RequestCount": [1.0]}, "There were 1 requests."),
        ({"WorkersWanted": [0.0] * 15 + [1.0]}, "Work has wanted workers."),
        ({"WorkersWanted": [0.0] * 15}, "It has not been awake for 4 hours: 15 of 16 quarters are measured."),
        ({"WorkersWanted": []}, "It has not been awake for 4 hours: 0 of 16 quarters are measured."),
    ],
    ids=["a request", "a job", "woken a while ago", "just made"],
)
def test_what_is_in_use_or_has_just_been_woken_stays_awake(aws: Measured, values: dict[str, list[float]], why: str):
    aws.values |= values
    assert aws.look() == why
    assert counts(aws.clients) == dict(STACK.services)
    assert database(aws.clients) == "available"


def test_a_database_that_aws_started_by_itself_is_stopped_again_and_one_that_is_being_woken_is_not(aws: Measured):
    aws.look()
    assert aws.look() == "It sleeps."
    aws.clients("rds").start_db_instance(DBInstanceIdentifier=STACK.database)
    aws.values["CPUUtilization"] = [1.0, 1.0]  # for less than three quarters of an hour
    assert aws.look() == "It sleeps."
    assert database(aws.clients) == "available"
    aws.values["CPUUtilization"] = [1.0, 1.0, 1.0]
    assert aws.look().endswith("is stopped again.")
    assert database(aws.clients) == "stopped"


def test_a_database_that_is_backed_up_at_the_moment_keeps_all_of_it_awake(aws: Measured, monkeypatch):
    from infra.aws import sleep

    monkeypatch.setattr(sleep, "_state", lambda *_: "backing-up")
    assert aws.look().startswith("It is idle and stays awake for now: The database is backing-up")
    assert counts(aws.clients) == dict(STACK.services)


@functools.cache
def graph() -> Graph:
    return record(sleepAfter="4h", egress="nat")


def test_its_role_allows_what_it_calls_and_nothing_else(aws: Measured):
    aws.look()
    aws.values["CPUUtilization"] = [1.0] * 3
    aws.clients("rds").start_db_instance(DBInstanceIdentifier=STACK.database)
    aws.look()
    policy = json.loads(graph().of("iam.RolePolicy")["sleeper"]["policy"])["Statement"]
    allowed = {action for statement in policy for action in statement["Action"]}
    # Its log and its messages are Lambda's and the topic's own.
    others = {"logs:CreateLogStream", "logs:PutLogEvents", "kms:Decrypt", "kms:GenerateDataKey"}
    assert allowed - others == aws.actions


def test_the_function_that_is_declared_runs_without_the_project(tmp_path: Path):
    function = graph().of("lambda.Function")["sleeper"]
    assert function["handler"] == "infra.aws.idle.handler"
    for file in sleeper._FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes((ROOT / "pulumi" / file).read_bytes())
    said = json.loads(function["environment"]["variables"]["SLEEPER"])
    assert said["stack"]["services"] == {
        **{f"hm-mlflow-{name}": 1 for name in ("mlflow", "ray-head", "webapp")},
        "hm-mlflow-ray-worker": 0,
    }
    assert said["idle"]["hours"] == 4
    program = "import json, os; from infra.aws.idle import *; c = json.loads(os.environ['SLEEPER'])\n"
    program += "print(Stack(**c['stack']).cluster, Idle(**c['idle']).wake)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],  # -S: no package but Python's own
        env={"SLEEPER": json.dumps(said), "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "hm-mlflow-cluster make wake STACK=aws\n", done.stderr


def test_a_schedule_runs_it_and_only_that():
    schedule = graph().of("scheduler.Schedule")["sleeper"]
    assert schedule["scheduleExpression"] == "rate(15 minutes)"
    assert schedule["target"]["arn"] == "arn of lambda.Function sleeper"
    policy = json.loads(graph().of("iam.RolePolicy")["sleeper-schedule"]["policy"])["Statement"]
    assert policy == [
        {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": ["arn of lambda.Function sleeper"]}
    ]
    assert timedelta(minutes=15) == idle.PERIOD


def test_every_rule_and_every_limit_of_aws_holds_with_it():
    assert broken(graph_of("aws", defaults() | {"sleepAfter": "4h", "allowedCidrs": CIDRS, "aws:region": REGION})) == []
    assert found(graph()) == []
