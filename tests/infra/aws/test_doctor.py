"""What an account refuses is found before anything is created; each check is seen to fail and to pass."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.config import Config

from infra import stack
from infra.aws import imagined
from infra.aws.account import commands, deployer, examination
from infra.aws.account.doctor import examine
from infra.aws.account.leftovers import leftovers
from infra.aws.account.permits import permits
from infra.aws.rules.every import broken
from tests.infra.support.graph import defaults
from tests.infra.support.mutations import asked, mutations

SETTINGS = {
    "environment": "dev",
    "workers": 1,
    "monthlyBudget": 500,
    "accountPlan": "paid",
    "aws:region": "eu-west-1",
}
# What EC2, RDS and IAM answer in XML, by what they are asked.
REGIONS = "<DescribeRegionsResponse><regionInfo>{}</regionInfo></DescribeRegionsResponse>"
REGION = "<item><regionName>{}</regionName><optInStatus>{}</optInStatus></item>"
ZONES = (
    "<DescribeAvailabilityZonesResponse><availabilityZoneInfo>{}</availabilityZoneInfo>"
    "</DescribeAvailabilityZonesResponse>"
)
ZONE = "<item><zoneName>{}</zoneName><zoneId>{}</zoneId></item>"
MACHINES = (
    "<DescribeInstanceTypeOfferingsResponse><instanceTypeOfferingSet>{}</instanceTypeOfferingSet>"
    "</DescribeInstanceTypeOfferingsResponse>"
)
OFFERS = (
    "<DescribeOrderableDBInstanceOptionsResponse><DescribeOrderableDBInstanceOptionsResult><OrderableDBInstanceOptions>"
    "<OrderableDBInstanceOption><AvailabilityZones>{}</AvailabilityZones></OrderableDBInstanceOption>"
    "</OrderableDBInstanceOptions></DescribeOrderableDBInstanceOptionsResult></DescribeOrderableDBInstanceOptionsResponse>"
)
SIMULATED = (
    "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>"
    "{}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
)
EVALUATED = "<member><EvalActionName>{}</EvalActionName><EvalDecision>{}</EvalDecision></member>"
IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account><UserId>A</UserId>"
    "<Arn>arn:aws:iam::123456789012:user/a</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
DATABASES = (
    "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance><DBInstanceStatus>{}"
    "</DBInstanceStatus></DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"
)
ROLE = (
    "<GetRoleResponse><GetRoleResult><Role><Arn>arn:aws:iam::123456789012:role/of/people/{}</Arn></Role>"
    "</GetRoleResult></GetRoleResponse>"
)
NO_ROLE = "<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>"
FREE, PAID = ({"accountId": "123456789012", "accountPlanType": kind} for kind in ("FREE", "PAID"))
DENIED = {"__type": "AccessDeniedException", "message": "is not authorized"}


class Account(ThreadingHTTPServer):
    """An account on AWS that has what it is given; whatever it is not given, it denies."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.answers: dict[str, Any] = {}
        self.known = True
        self.date = ""
        self.regions = {"eu-west-1": "opt-in-not-required", "ap-east-1": "not-opted-in"}
        self.zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
        self.ids: dict[str, str] = {}
        self.offering = ["eu-west-1a", "eu-west-1b"]
        self.machines = ["eu-west-1a", "eu-west-1b"]
        self.database = "available"
        self.lacking_roles: set[str] = set()
        self.refused: set[str] = set()
        self.simulated: list[dict[str, list[str]]] = []

    def client(self, service: str, region: str) -> Any:
        return _client_of(self, service, region)

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
        form = parse_qs(asked.decode(errors="replace"))
        if not operation:
            status, answer = (200, self.told(form)) if self.server.known else (403, "<ErrorResponse/>")
            if self.server.lacking_roles & set(form.get("RoleName", ())):
                status, answer = 404, NO_ROLE
        else:
            found = self.server.answers.get(operation)
            status, answer = (200, json.dumps(found)) if found else (400, json.dumps(DENIED))
        self.send_response_only(status)
        self.send_header("Date", self.server.date or self.date_time_string())
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def told(self, form: dict[str, list[str]]) -> str:
        server = self.server
        match form["Action"][0]:
            case "DescribeRegions":
                return REGIONS.format("".join(REGION.format(*one) for one in server.regions.items()))
            case "DescribeAvailabilityZones":
                called = ((zone, server.ids.get(zone, zone)) for zone in server.zones)
                return ZONES.format("".join(ZONE.format(*one) for one in called))
            case "DescribeInstanceTypeOfferings":
                return MACHINES.format("".join(f"<item><location>{zone}</location></item>" for zone in server.machines))
            case "DescribeOrderableDBInstanceOptions":
                zones = (f"<AvailabilityZone><Name>{zone}</Name></AvailabilityZone>" for zone in server.offering)
                return OFFERS.format("".join(zones))
            case "SimulatePrincipalPolicy":
                server.simulated.append(form)
                actions = [value[0] for key, value in form.items() if key.startswith("ActionNames.member")]
                said = {action: "implicitDeny" if action in server.refused else "allowed" for action in actions}
                return SIMULATED.format("".join(EVALUATED.format(*one) for one in said.items()))
            case "DescribeDBInstances":
                return DATABASES.format(server.database)
            case "GetRole":
                return ROLE.format(form["RoleName"][0])
            case _:
                return IDENTITY

    def log_message(self, *_: Any) -> None:
        """It is quiet."""


@pytest.fixture
def account() -> Iterator[Account]:
    with Account() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.has(plan=PAID, vcpus=5)
        yield server
        server.shutdown()


def told(account: Account, *, data: str = "", terminal: Any = None, **changed: Any) -> list[tuple[bool, str, str]]:
    found = examine("aws", SETTINGS | changed, account.client, data=data, terminal=terminal or {})
    return [(one.stops, one.what, one.remedy) for one in found]


def test_an_account_with_all_that_dev_needs_is_told_nothing(account: Account):
    assert told(account) == []


def test_credentials_that_aws_does_not_take_are_all_that_is_said(account: Account):
    account.known = False
    [(stops, what, remedy)] = told(account)
    assert stops
    assert what.startswith("AWS does not take your credentials")
    assert "AWS_PROFILE" in remedy


def test_where_nothing_answers_no_credentials_are_blamed():
    def client(service: str, region: str) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url="http://127.0.0.1:9",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )

    [found] = examine("aws", SETTINGS, client, terminal={})
    assert found.stops
    assert found.what.startswith("AWS does not answer: ")
    assert "https_proxy" in found.remedy


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


def test_an_account_without_the_role_of_rds_is_told_to_make_it_before_its_first_database(account: Account):
    account.lacking_roles = {"AWSServiceRoleForRDS"}
    [(stops, what, remedy)] = told(account)
    assert stops
    assert "no database on RDS yet" in what
    assert remedy.startswith("aws iam create-service-linked-role --aws-service-name rds.amazonaws.com")


def test_a_clock_that_is_wrong_is_found_before_aws_refuses_what_it_signs(account: Account):
    account.date = "Sun, 06 Nov 1994 08:49:37 GMT"
    [(stops, what, remedy)] = told(account)
    assert stops
    assert "ahead of AWS's" in what
    assert "timedatectl set-ntp true" in remedy


def test_another_region_in_this_terminal_is_found(account: Account):
    [(stops, _, remedy)] = told(account, terminal={"AWS_REGION": "us-east-2"})
    assert (stops, remedy) == (False, "export AWS_REGION=eu-west-1")
    assert told(account, terminal={"AWS_REGION": "eu-west-1"}) == []


def test_a_region_that_the_account_has_not_switched_on_stops(account: Account):
    account.regions["eu-west-1"] = "not-opted-in"
    [(stops, what, remedy)] = told(account)
    assert (stops, what) == (True, "The account cannot use eu-west-1: not-opted-in.")
    assert remedy.startswith("aws account enable-region --region-name eu-west-1")


def test_zones_without_the_database_s_machine_and_a_lone_zone_stop(account: Account):
    account.offering = ["eu-west-1a"]
    [(stops, what, _)] = told(account)
    assert (stops, what) == (True, "eu-west-1b has no db.t4g.micro for Postgres.")
    account.offering = account.machines = ["eu-west-1a", "eu-west-1c"]  # of which the program takes these
    assert told(account) == []
    account.zones = ["eu-west-1a"]
    [(_, what, remedy)] = told(account)
    assert "aws:region us-east-1 " in remedy
    account.regions["us-east-1"] = "opt-in-not-required"
    [(_, _, remedy)] = told(account, **{"aws:region": "us-east-1"})
    assert "aws:region us-east-2 " in remedy  # another one
    assert what == "eu-west-1 has only 1 zone for this account; it takes two."


def test_zones_that_cloudfront_does_not_reach_are_passed_over_where_people_come_in_by_it(account: Account):
    account.ids = {"eu-west-1a": "use1-az3"}
    account.machines = account.zones
    assert told(account) == []
    [(_, what, _)] = told(account, edge="cloudfront")
    assert what == "eu-west-1c has no db.t4g.micro for Postgres."  # it takes b and c


def test_a_stack_that_is_up_in_another_account_is_found(account: Account):
    [(stops, what, _)] = told(account, data="s3://hm-mlflow-data-999999999999-eu-west-1")
    assert stops
    assert "your credentials are of 123456789012" in what
    assert told(account, data="s3://hm-mlflow-data-123456789012-eu-west-1") == []


ARN = "arn:aws:sts::123456789012:assumed-role/admin/ana"


def test_what_the_credentials_may_not_do_is_found_before_it_is_needed(account: Account):
    graph = asked("dev")
    wanted = deployer.statements({one.kind for one in graph.resources}, graph.names)
    caller, iam = {"Arn": ARN, "Account": "123456789012"}, account.client("iam", "eu-west-1")
    assert list(permits("aws", caller, wanted, iam)) == []
    asked_for = account.simulated
    assert {form["PolicySourceArn"][0] for form in asked_for} == {"arn:aws:iam::123456789012:role/of/people/admin"}
    whole = json.dumps(asked_for)
    assert "aws:RequestedRegion" in whole
    assert "arn:aws:iam::123456789012:role/hm-mlflow-x" in whole
    assert "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hm-mlflow/x" in whole
    account.refused = {"ecs:CreateService", "iam:PassRole"}
    [found] = permits("aws", caller, wanted, iam)
    assert found.what == f"{ARN} may not do ecs:CreateService, iam:PassRole."
    assert found.remedy.startswith("make policy STACK=aws")
    assert list(permits("aws", caller | {"Arn": "arn:aws:iam::123456789012:root"}, wanted, iam)) == []


def test_each_name_that_an_earlier_stack_left_is_found_with_what_removes_it(aws_server: str):
    graph = asked("dev")

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=aws_server, region_name="eu-west-1", **keys)

    def found() -> dict[str, str]:
        return {one.what.split(" ")[0]: one.remedy for one in leftovers(graph, client, "210987654321")}

    before = found()
    bucket, role = "hm-mlflow-data-210987654321-eu-west-1", "hm-mlflow-webapp-task"
    client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client("ecr").create_repository(repositoryName="hm-mlflow/model")
    client("secretsmanager").create_secret(Name="hm-mlflow/ray-token", SecretString="a token")
    client("secretsmanager").delete_secret(SecretId="hm-mlflow/ray-token", RecoveryWindowInDays=7)
    client("logs").create_log_group(logGroupName="/ecs/hm-mlflow-webapp")
    client("iam").create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    client("rds").create_db_parameter_group(
        DBParameterGroupName="hm-mlflow-database", DBParameterGroupFamily="postgres17", Description="it stayed"
    )
    after = {name: remedy for name, remedy in found().items() if name not in before}
    assert after.keys() == {
        *(bucket, role, "hm-mlflow/model", "hm-mlflow/ray-token", "/ecs/hm-mlflow-webapp", "hm-mlflow-database")
    }
    assert f"Bucket('{bucket}'); b.object_versions.delete(); b.delete()" in after[bucket]
    assert after["hm-mlflow/ray-token"].endswith(
        "delete-secret --force-delete-without-recovery --secret-id hm-mlflow/ray-token --region eu-west-1"
    )


def test_what_an_interrupted_make_up_has_made_is_not_left_over(aws_server: str, monkeypatch):
    """Its outputs are lost; Pulumi's state has what it made."""
    graph = asked("dev")

    def client(service: str, region: str) -> Any:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=aws_server, region_name=region, **keys)

    group = graph.of("cloudwatch.LogGroup")["mlflow"]["name"]
    logs = client("logs", "sa-east-1")
    logs.create_log_group(logGroupName=group)
    settings = defaults() | {"aws:region": "sa-east-1", "allowedCidrs": '["203.0.113.7/32"]'}
    urn = "urn:pulumi:aws::hm-mlflow::hm-mlflow:index:Service$aws:cloudwatch/logGroup:LogGroup::mlflow"
    state: dict[str, Any] = {"deployment": {}}
    monkeypatch.setattr("infra.aws.account.permits.permits", lambda *_: [])  # which the simulation cannot say
    monkeypatch.setattr(stack, "run_pulumi", lambda *_, **__: SimpleNamespace(stdout=json.dumps(state)))

    def found() -> list[str]:
        graph = imagined.graph_of("aws", settings)
        return [one.what for one in examination._as_declared("aws", graph, client, "") if one.what.startswith(group)]

    assert found() == [f"{group} is there already, from an earlier stack or somebody else's: cloudwatch.LogGroup."]
    state["deployment"]["resources"] = [
        {"urn": urn, "type": "aws:cloudwatch/logGroup:LogGroup", "custom": True},
        {"urn": "urn:pulumi:aws::hm-mlflow::hm-mlflow:index:Service::mlflow", "type": "hm-mlflow:index:Service"},
    ]
    assert found() == []


@pytest.mark.parametrize(
    ("up", "wanted", "refused"),
    [
        ("balancer", "balancer", False),
        ("cloudfront", "cloudfront", False),
        ("balancer", "cloudfront", True),
        ("cloudfront", "balancer", True),
    ],
)
def test_another_way_in_is_refused_until_the_one_that_is_up_is_gone(up: str, wanted: str, refused: bool):
    made = {(one.kind, one.name) for one in asked("dev", edge=up).resources}
    found = list(examination._another_edge("aws", asked("dev", edge=wanted), made))
    assert [one.what for one in found] == [f"edge is {wanted}, and aws is up with another one."] * refused
    for left in (made - {("lb.LoadBalancer", "edge")}, set()):  # as the remedy leaves it; before the first `make up`
        assert list(examination._another_edge("aws", asked("dev", edge=wanted), left)) == []


def test_other_networks_are_no_other_way_in():
    graph = asked("dev", edge="cloudfront")
    made = {(one.kind, one.name) for one in graph.resources}
    assert list(examination._another_edge("aws", graph, made - {("cloudfront.VpcOrigin", "origin")})) == []
    before = made | {("vpc.SecurityGroupIngressRule", "edge-80-192.0.2.0/24")}
    balancer = asked("dev")
    made = {(one.kind, one.name) for one in balancer.resources} | before - made
    assert list(examination._another_edge("aws", balancer, made)) == []


def test_a_stack_that_sleeps_is_woken_before_it_is_changed(account: Account, monkeypatch):
    settings = defaults() | SETTINGS | {"alertEmail": "team@example.com", "allowedCidrs": '["203.0.113.7/32"]'}
    said = {"data": "s3://hm-mlflow-data-123456789012-eu-west-1", "database": "hm-mlflow-database-1"}
    said |= {"cluster": "hm-mlflow-cluster", "deployed": {"mlflow": "a task"}}
    account.answers["DescribeServices"] = {"services": [{"serviceName": "hm-mlflow-mlflow", "desiredCount": 1}]}
    monkeypatch.setattr(stack, "settings_of", lambda _: settings)
    monkeypatch.setattr(commands, "outputs", lambda _: said)
    monkeypatch.setattr(boto3, "client", lambda service, region_name: _client_of(account, service, region_name))
    assert [one for one in examination.examine("aws") if one.stops] == []
    account.database = "stopped"
    [found] = [one for one in examination.examine("aws") if one.stops]
    assert (found.what, found.remedy) == ("aws sleeps: its database is stopped.", "make wake STACK=aws")
    account.database = "available"  # AWS starts it after a week, and nothing else
    account.answers["DescribeServices"] = {"services": [{"serviceName": "hm-mlflow-mlflow", "desiredCount": 0}]}
    [found] = [one for one in examination.examine("aws") if one.stops]
    assert found.what == "aws sleeps: it has no containers, and its database runs because AWS started it."
    assert found.remedy == "make wake STACK=aws"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"environment": "test"}, "environment is 'test'; it takes dev or prod"),
        ({"workers": "two"}, "workers"),
        ({"aws:region": "us-esat-1"}, "aws:region is us-esat-1; it takes a region"),
    ],
)
def test_a_wrong_setting_is_said_before_anything_is_asked(changed: dict[str, str], said: str, monkeypatch):
    """Asked in a region that there is not, nothing answers, and that looks like a fault of something else."""
    monkeypatch.setattr(stack, "settings_of", lambda _: defaults() | SETTINGS | changed)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: pytest.fail("AWS was asked"))
    [found] = examination.examine("aws")
    assert found.stops
    assert said in found.what


def test_what_has_to_be_set_is_said_with_the_command_that_sets_it(account: Account, monkeypatch):
    account.regions["us-east-1"] = "opt-in-not-required"
    account.offering = account.zones
    monkeypatch.setattr(stack, "settings_of", lambda _: defaults() | SETTINGS | {"aws:region": ""})
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    monkeypatch.setattr(boto3, "client", lambda service, region_name: _client_of(account, service, region_name))
    found = {one.what: one.remedy for one in examination.examine("aws") if one.stops}
    assert found == {
        "aws:region is not set.": "pulumi config set --stack aws aws:region eu-west-1",
        "allowedCidrs is not set.": "pulumi config set --stack aws --path 'allowedCidrs[0]' 203.0.113.7/32",
        "alertEmail is not set.": "pulumi config set --stack aws alertEmail team@example.com",
    }


def test_make_doctor_judges_what_would_be_declared(account: Account, monkeypatch):
    settings = defaults() | SETTINGS | {"alertEmail": "team@example.com", "allowedCidrs": '["203.0.113.7/32"]'}
    account.refused = {"ecs:CreateService"}
    monkeypatch.setattr(stack, "settings_of", lambda _: settings)
    monkeypatch.setattr(commands, "outputs", lambda _: {"data": "s3://hm-mlflow-data-123456789012-eu-west-1"})
    monkeypatch.setattr(boto3, "client", lambda service, region_name: _client_of(account, service, region_name))
    [found] = [one for one in examination.examine("aws") if one.stops]
    assert "may not do ecs:CreateService" in found.what
    worse = next(mutation for mutation in mutations() if mutation.rule == "buckets_keep_versions")
    monkeypatch.setattr("infra.aws.imagined.graph_of", lambda *_: worse.of(asked("dev")))
    [rule] = [one for one in examination.examine("aws") if one.what.startswith("A rule breaks")]
    assert rule.what == f"A rule breaks: {broken(worse.of(asked('dev')))[0]}"


def _client_of(account: Account, service: str, region: str, make: Any = boto3.client) -> Any:
    return make(
        service,
        region_name=region,
        endpoint_url=f"http://127.0.0.1:{account.server_port}",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )
