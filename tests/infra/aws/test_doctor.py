"""What an account refuses is found before anything is created; each check is seen to fail and to pass."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config

from infra.aws.doctor import examine

SETTINGS = {
    "environment": "dev",
    "workers": 1,
    "monthlyBudget": 500,
    "accountPlan": "paid",
    "aws:region": "eu-west-1",
}
IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account><UserId>A</UserId>"
    "<Arn>arn:aws:iam::123456789012:user/a</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
FREE, PAID = ({"accountId": "123456789012", "accountPlanType": kind} for kind in ("FREE", "PAID"))
DENIED = {"__type": "AccessDeniedException", "message": "is not authorized"}


class Account(ThreadingHTTPServer):
    """An account on AWS that has what it is given; whatever it is not given, it denies."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.answers: dict[str, Any] = {}
        self.known = True

    def client(self, service: str, region: str) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{self.server_port}",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def has(
        self, *, plan: dict | None = None, vcpus: float | None = None, spot: float | None = None, budgets: bool = True
    ) -> None:
        spare = vcpus if spot is None else spot
        self.answers = {
            "GetAccountPlanState": plan,
            "GetServiceQuota L-3032A538": vcpus and {"Quota": {"QuotaCode": "L-3032A538", "Value": vcpus}},
            "GetServiceQuota L-36FBB829": spare and {"Quota": {"QuotaCode": "L-36FBB829", "Value": spare}},
            "DescribeBudgets": {"Budgets": []} if budgets else None,
        }


class Answers(BaseHTTPRequestHandler):
    server: Account

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target", "").split(".")[-1]
        if operation == "GetServiceQuota":
            operation += f" {json.loads(asked)['QuotaCode']}"
        if not operation:
            status, answer = (200, IDENTITY) if self.server.known else (403, "<ErrorResponse/>")
        else:
            found = self.server.answers.get(operation)
            status, answer = (200, json.dumps(found)) if found else (400, json.dumps(DENIED))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        """It is quiet."""


@pytest.fixture
def account() -> Iterator[Account]:
    with Account() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.has(plan=PAID, vcpus=5)
        yield server
        server.shutdown()


def told(account: Account, **changed: Any) -> list[tuple[bool, str, str]]:
    found = examine("aws", SETTINGS | changed, account.client)
    return [(one.stops, one.what, one.remedy) for one in found]


def test_an_account_with_all_that_dev_needs_is_told_nothing(account: Account):
    assert told(account) == []


def test_credentials_that_aws_does_not_take_are_all_that_is_said(account: Account):
    account.known = False
    [(stops, what, remedy)] = told(account)
    assert stops
    assert what.startswith("AWS does not take your credentials")
    assert "AWS_PROFILE" in remedy


def test_a_free_plan_stops_until_the_setting_says_it(account: Account):
    account.has(plan=FREE, vcpus=5)
    [(stops, what, remedy)] = told(account)
    assert stops
    assert "free plan" in what
    assert "pulumi config set --stack aws accountPlan free" in remedy
    assert told(account, accountPlan="free") == []


def test_too_few_vcpus_stop_a_stack_that_could_not_train_and_are_noted_for_one_that_could(account: Account):
    account.has(plan=PAID, vcpus=1, spot=5)
    [(stops, what, remedy)] = told(account)
    assert stops
    assert what == "Fargate On-Demand gives this account 1 vCPUs in eu-west-1; the stack needs 1.75."
    assert "--region eu-west-1 --service-code fargate --quota-code L-3032A538 --desired-value 2" in remedy
    account.has(plan=PAID, vcpus=5, spot=2)
    [(stops, what, remedy)] = told(account)
    assert stops
    assert what == "Fargate Spot gives this account 2 vCPUs in eu-west-1; the stack needs 3."
    assert "--quota-code L-36FBB829 --desired-value 3" in remedy
    account.has(plan=PAID, vcpus=6)
    [(stops, what, remedy)] = told(account, workers=3)
    assert not stops
    assert "the stack needs 3 to 7" in what
    [(stops, *_)] = told(account, environment="prod")
    assert stops


def test_who_may_not_see_budgets_is_told_to_do_without_one(account: Account):
    account.has(plan=PAID, vcpus=5, budgets=False)
    [(stops, what, remedy)] = told(account)
    assert stops
    assert what.startswith("You may not see budgets")
    assert "pulumi config set --stack aws monthlyBudget 0" in remedy
    assert told(account, monthlyBudget=0) == []


def test_what_the_credentials_may_not_ask_is_said_and_stops_nothing(account: Account):
    account.has()
    found = told(account, monthlyBudget=0)
    assert [stops for stops, *_ in found] == [False, False]
    assert found[0][1].startswith("Not known: Whether the account is on the free plan")
    assert found[1][1].startswith("Not known: Whether the account's vCPUs on Fargate are enough")
    assert all(what.endswith("(your credentials may not ask)") for _, what, _ in found)


def test_an_environment_that_there_is_not_is_said_before_anything_is_asked(account: Account):
    account.known = False
    [(stops, what, _)] = told(account, environment="test")
    assert stops
    assert what == "environment is 'test'; it takes dev or prod."
