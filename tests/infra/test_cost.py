"""The estimate: sums done by hand, and nothing that the program declares left out of it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from infra.aws import estimate as estimates
from infra.aws.environment import DEV, PROD, on_arm
from infra.aws.estimate import HOURS, Use, asleep, estimate, hourly, monthly, training
from infra.commands import cost
from infra.commands.cost import Estimated, table
from infra.spec import Service
from infra.stack import settings_of
from tests.infra.support.graph import defaults, record, recorded

PRICED = {
    "ecs.Service": "on Fargate",
    "rds.Instance": "database",
    "s3.Bucket": "buckets",
    "ecr.Repository": "images",
    "secretsmanager.Secret": "secrets",
    "kms.Key": "key",
    "lb.LoadBalancer": "load balancer",
    "wafv2.WebAcl": "web ACL",
    "ec2.NatGateway": "NAT gateway",
    "ec2.Eip": "NAT gateway",
    "ec2.VpcEndpoint": "interface endpoints",
    "servicediscovery.PrivateDnsNamespace": "private zone",
    "sagemaker.NotebookInstance": "notebook",
    "ec2.FlowLog": "flow logs",
    "cloudtrail.Trail": "trail of the X-rays",
    "ecs.Cluster": "Container Insights",
    "cloudwatch.LogGroup": "logs",
    "cloudwatch.MetricAlarm": "alarms",
}
# Of these AWS charges nothing, or nothing until they are used, or nothing for so few.
FREE = {
    *("acm.Certificate", "appautoscaling.Policy", "appautoscaling.Target", "budgets.Budget", "cloudwatch.Dashboard"),
    *("cloudwatch.LogMetricFilter", "docker.Image", "ecr.LifecyclePolicy", "ecs.TaskDefinition", "iam.Role"),
    "ecs.ClusterCapacityProviders",
    *("iam.RolePolicy", "lb.Listener", "lb.ListenerRule", "lb.TargetGroup", "rds.ParameterGroup", "rds.SubnetGroup"),
    *("sagemaker.NotebookInstanceLifecycleConfiguration", "secretsmanager.SecretVersion", "servicediscovery.Service"),
    *("cloudfront.Distribution", "cloudfront.VpcOrigin", "wafv2.IpSet"),
    *("lambda.Function", "scheduler.Schedule", "sns.Topic", "sns.TopicSubscription"),
    *("ec2.DefaultSecurityGroup", "ec2.InternetGateway", "ec2.Route", "ec2.RouteTable", "ec2.RouteTableAssociation"),
    *("ec2.SecurityGroup", "ec2.Subnet", "ec2.Vpc", "vpc.SecurityGroupEgressRule", "vpc.SecurityGroupIngressRule"),
    *("s3.BucketLifecycleConfiguration", "s3.BucketObjectv2", "s3.BucketOwnershipControls", "s3.BucketPolicy"),
    *("s3.BucketPublicAccessBlock", "s3.BucketServerSideEncryptionConfiguration", "s3.BucketVersioning"),
}


def dollars(lines: list[estimates.Line]) -> dict[str, float]:
    return {line.what: round(line.dollars, 2) for line in lines}


def told(environment, **asked) -> str:
    return table(Estimated(stack="aws-try", environment=environment, **asked))


def test_an_hour_of_a_container_is_its_cores_and_its_memory():
    service = Service(name="x", image="x", cpu=512, memory=2048)
    assert hourly(service, DEV) == pytest.approx(0.5 * 0.04048 + 2 * 0.004445)
    on_spot = replace(service, interruptible=True)
    assert hourly(on_spot, DEV) == pytest.approx(0.5 * (0.5 * 0.04048 + 2 * 0.004445))
    assert hourly(on_spot, PROD) == hourly(service, DEV)


def test_dev_adds_up_as_by_hand():
    lines = dollars(estimate(DEV))
    assert lines["webapp on Fargate"] == round((0.04048 + 4 * 0.004445) * 730 / 2, 2) == 21.26
    assert lines["ray-head on Fargate"] == round((0.04048 + 4 * 0.004445) * 730, 2) == 42.53
    assert lines["mlflow on Fargate"] == round((0.5 * 0.04048 + 3 * 0.004445) * 730, 2) == 24.51
    assert lines["database"] == round(0.016 * 730 + 20 * 0.115, 2) == 13.98
    assert lines["load balancer"] == round(0.0225 * 730 + 0.008 * 730 + 2 * 0.005 * 730, 2)
    assert lines["public addresses"] == round(3 * 0.005 * 730, 2) == 10.95
    assert "NAT gateway" not in lines
    assert lines["notebook"] == round(40 * 0.05 + 20 * 0.14, 2) == 4.8
    assert lines["ray-worker on Fargate, while it works"] == round(20 * (2 * 0.04048 + 6 * 0.004445) / 2, 2)
    assert "ray-worker on Fargate" not in lines
    assert "Container Insights" not in lines


def test_dev_at_rest_is_at_most_170_dollars():
    assert sum(line.dollars for line in estimate(DEV)) <= 170


def test_dev_asleep_is_at_most_45_dollars_and_pays_for_what_stays():
    stays = 0.0225 * 730 + 2 * 0.005 * 730 + 20 * 0.115 + 20 * 0.14 + 8 * 0.4 + 1 + 0.5 + 19 * 0.1 + 20 * 0.023 + 0.6
    assert asleep(DEV) == pytest.approx(stays)
    assert stays <= 45
    assert asleep(DEV, egress="nat") == pytest.approx(stays + (0.045 + 0.005) * 730)
    assert f"{asleep(DEV):.2f}  in total while it sleeps" in told(DEV)


def test_a_nat_gateway_is_paid_by_the_hour_and_by_what_goes_through():
    lines = dollars(estimate(DEV, egress="nat"))
    assert lines["NAT gateway"] == round(0.045 * 730 + 0.005 * 730 + 20 * 0.045, 2) == 37.4
    assert "public addresses" not in lines


def test_prod_pays_for_a_standby_and_a_worker_that_waits():
    lines = dollars(estimate(PROD))
    assert lines["webapp on Fargate"] == round(2 * (2 * 0.04048 + 4 * 0.004445) * 730, 2) == 144.16
    assert lines["database"] == round(2 * (0.032 * 730 + 50 * 0.115), 2) == 58.22
    assert lines["ray-worker on Fargate"] == round((2 * 0.04048 + 6 * 0.004445) * 730, 2) == 78.57


def test_without_nat_each_endpoint_is_paid_in_each_zone():
    lines = dollars(estimate(DEV, egress="endpoints"))
    assert "NAT gateway" not in lines
    assert lines["interface endpoints"] == round(estimates.INTERFACE_ENDPOINTS * 2 * 0.01 * 730, 2)


def test_behind_cloudfront_a_web_acl_is_paid_instead_of_the_load_balancer_s_addresses():
    before, lines = dollars(estimate(DEV)), dollars(estimate(DEV, edge="cloudfront"))
    assert lines["load balancer"] == round((0.0225 + 0.008) * 730, 2) == before["load balancer"] - 7.3
    assert lines["web ACL"] == 5 + 1 + 0.6
    assert "web ACL" not in before
    assert asleep(DEV) - asleep(DEV, edge="cloudfront") == pytest.approx(2 * 0.005 * 730 - 6)
    assert "web ACL" in told(DEV, edge="cloudfront")
    assert Estimated.of("aws", defaults() | {"edge": "cloudfront"}).edge == "cloudfront"


def test_what_is_used_is_what_is_paid():
    none = Use(capacity_units=0, nat_gb=0, notebook_hours=0, worker_hours=0, metrics=0, log_gb=0, s3_gib=0, ecr_gib=0)
    lines = dollars(estimate(DEV, use=none))
    assert lines["load balancer"] == round(0.0225 * 730 + 2 * 0.005 * 730, 2)
    assert lines["notebook"] == 2.8
    assert [lines[what] for what in ("logs", "buckets", "images")] == [0, 0, 0]
    assert dollars(estimate(PROD, use=none))["Container Insights"] == 0


def test_the_table_is_sorted_has_the_sum_and_says_what_dominates():
    lines = estimate(DEV)
    assert [line.dollars for line in lines] == sorted((line.dollars for line in lines), reverse=True)
    text = told(DEV)
    total = sum(line.dollars for line in lines)
    assert f"{total:.2f}  in total; a day is {total * 24 / HOURS:.2f}" in text
    assert "More than half is: ray-head on Fargate, load balancer, mlflow on Fargate." in text


def test_the_budget_is_the_estimate_and_says_at_which_sums_mails_come_and_what_stops_it():
    assert monthly(DEV) == 160
    text = told(DEV)
    assert "Mails come when the account has spent 40, 80, 128, 160 dollars in a month" in text
    assert "monthlyBudget" not in text
    assert "To pay for what is stored only: make sleep STACK=aws-try. To end it: make down STACK=aws-try" in text
    assert "There is no budget" in told(DEV, budget=0)


def test_a_budget_below_the_estimate_is_named_with_what_to_type():
    text = told(DEV, budget=100)
    assert "has spent 25, 50, 80, 100 dollars" in text
    assert "That is less than it costs: pulumi config set --stack aws-try monthlyBudget 160" in text
    assert "less than it costs" not in told(DEV, budget=161)


@pytest.mark.parametrize(
    ("environment", "settings"), [(DEV, {}), (PROD, {}), (DEV, {"keys": "off"}), (DEV, {"edge": "cloudfront"})]
)
def test_the_budget_that_is_declared_is_the_estimate(environment, settings: dict[str, str]):
    graph = record(environment=environment.name, **settings) if settings else recorded(environment.name, "nat")
    [declared] = graph.of("budgets.Budget").values()
    egress = "" if settings else "nat"
    asked = Estimated.of("aws", defaults() | settings | {"environment": environment.name, "egress": egress})
    lines = estimate(asked.environment, egress=asked.egress, options=asked.options, edge=asked.edge)
    assert {line.what: line.how for line in lines}["secrets"] == str(len(graph.of("secretsmanager.Secret")) + 1)
    assert 0 <= int(declared["limitAmount"]) - sum(line.dollars for line in lines) < 10
    assert declared["name"] == "hm-mlflow-monthly - make sleep STACK=aws pauses it"


def test_a_training_pays_for_a_worker_until_it_goes_again_and_for_the_task_that_submits_it():
    worker = (2 * 0.04048 + 6 * 0.004445) / 2 + 0.005
    task = 0.25 * 0.04048 + 2 * 0.004445 + 0.005
    assert training(DEV) == pytest.approx(0.75 * worker + 0.5 * task)
    assert f"{training(DEV):.2f}  for a training of some 5,000 X-rays, on top" in told(DEV)
    assert training(PROD) == pytest.approx(0.5 * (0.5 * 0.04048 + 2 * 0.004445))  # a worker waits anyway


def test_processors_of_aws_s_own_cost_a_fifth_less():
    dev, arm = dollars(estimate(DEV)), dollars(estimate(on_arm(DEV)))
    less = {what for what in dev if dev[what] != arm[what]}
    assert less == {what for what in dev if "Fargate" in what}
    assert arm["ray-head on Fargate"] == round(0.8 * (0.04048 + 4 * 0.004445) * 730, 2)


def test_dev_fits_into_the_quota_of_a_new_account_and_prod_says_what_to_ask_for():
    text = told(DEV)
    assert "It runs at most 1.75 vCPUs at once on Fargate On-Demand, and a new account has 5 or more." in text
    assert "It runs at most 3 vCPUs at once on Fargate Spot, and a new account has 5 or more." in text
    assert "--quota-code L-36FBB829 --desired-value 7" in told(DEV, workers=3)
    assert "--quota-code L-3032A538 --desired-value 47" in told(PROD)


@pytest.mark.parametrize("environment", [DEV, PROD], ids=["dev", "prod"])
def test_the_vcpus_are_those_that_the_program_declares(environment):
    graph = recorded(environment.name)
    cpu = {name: int(task["cpu"]) / 1024 for name, task in graph.of("ecs.TaskDefinition").items()}
    most = {False: cpu["model-training"], True: 0.0}  # the task that runs besides is on demand
    for name, service in graph.of("ecs.Service").items():
        scaled = graph.of("appautoscaling.Target").get(name, {})
        containers = scaled.get("maxCapacity", service["desiredCount"])
        most["capacityProviderStrategies" in service] += cpu[name] * (
            containers * service["deploymentMaximumPercent"] // 100
        )
    for spot, name in ((False, "On-Demand"), (True, "Spot")):
        said = f"at most {most[spot]:g} vCPUs at once on Fargate {name}" in told(environment)
        assert said == bool(most[spot])
    assert environment is PROD or sum(most.values()) <= 5


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"environment": "production"}, "environment is 'production'; it takes dev or prod, for example"),
        ({"egress": "vpn"}, "egress is 'vpn'; it takes public or nat or endpoints"),
        ({"workers": "two"}, "'hm-mlflow:workers' value 'two' is not a valid 'int'; `pulumi config set workers`"),
    ],
)
def test_nothing_is_estimated_of_a_setting_that_cannot_be(setting: dict[str, str], said: str, monkeypatch):
    monkeypatch.setattr(cost, "settings_of", lambda _: defaults() | setting)
    monkeypatch.setattr("sys.argv", ["infra.commands.cost", "aws"])
    with pytest.raises(SystemExit, match=said):
        cost.main()


def test_what_costs_nothing_is_told_what_does(monkeypatch):
    monkeypatch.setattr("sys.argv", ["infra.commands.cost", "local"])
    with pytest.raises(SystemExit, match=r"^local costs nothing; .*: make cost STACK=aws$"):
        cost.main()


def test_a_stack_s_own_settings_win_and_without_a_stack_the_defaults_hold(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (settings_of("aws")["environment"], settings_of("aws")["egress"]) == ("dev", "")
    answer = json.dumps(
        {"hm-mlflow:environment": {"value": "prod", "secret": False}, "hm-mlflow:rayToken": {"secret": True}}
    )
    (tmp_path / "pulumi").write_text(f"#!/bin/sh\necho '{answer}'\n")
    (tmp_path / "pulumi").chmod(0o755)
    assert (settings_of("aws")["environment"], settings_of("aws")["egress"]) == ("prod", "")


@pytest.mark.parametrize("edge", ["balancer", "cloudfront"])
@pytest.mark.parametrize(
    ("environment", "egress"), [(DEV, "public"), (DEV, "nat"), (DEV, "endpoints"), (PROD, "nat"), (PROD, "endpoints")]
)
def test_nothing_that_the_program_declares_is_left_out(environment, egress: str, edge: str):
    graph = recorded(environment.name, egress, edge)
    lines = {line.what: line.how for line in estimate(environment, egress=egress, edge=edge)}
    kinds = Counter(resource.kind for resource in graph.resources)
    assert set(kinds) <= set(PRICED) | FREE
    interface = [name for name, made in graph.of("ec2.VpcEndpoint").items() if made["vpcEndpointType"] == "Interface"]
    assert kinds["ec2.NatGateway"] == ("NAT gateway" in lines)
    assert lines.get("interface endpoints", "0 in").split(" ")[0] == str(len(interface))
    [cluster] = graph.of("ecs.Cluster").values()
    assert ("Container Insights" in lines) == (
        cluster["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    )
    assert (kinds["ec2.FlowLog"], kinds["cloudtrail.Trail"]) == (
        "flow logs" in lines,
        "trail of the X-rays" in lines,
    )
    assert lines["secrets"] == str(kinds["secretsmanager.Secret"] + 1)
    assert lines["alarms"] == str(kinds["cloudwatch.MetricAlarm"])
    services = list(graph.of("ecs.Service").values())
    running = {name: made["desiredCount"] for name, made in graph.of("ecs.Service").items() if made["desiredCount"]}
    estimated = {what.split(" ")[0]: how.split(" ")[0] for what, how in lines.items() if what.endswith("on Fargate")}
    assert estimated == {name: str(count) for name, count in running.items()}
    addresses = sum(made["networkConfiguration"]["assignPublicIp"] and made["desiredCount"] for made in services)
    assert lines.get("public addresses", "0,").split(",")[0] == str(addresses)
    on_spot = {made["name"] for made in services if made.get("capacityProviderStrategies")}
    assert {f"hm-mlflow-{what.split(' ')[0]}" for what, how in lines.items() if "Spot" in how} == on_spot
    [database] = graph.of("rds.Instance").values()
    standby = " and a standby" if database["multiAz"] else ""
    assert lines["database"] == f"{database['instanceClass']}, {database['allocatedStorage']} GiB{standby}"
    [balancer] = graph.of("lb.LoadBalancer").values()
    addresses = 0 if balancer["internal"] else len(balancer["subnets"])
    assert f", {addresses} addresses" in lines["load balancer"]
    rules = [len(acl["rules"]) for acl in graph.of("wafv2.WebAcl").values()]
    assert lines.get("web ACL", "").split(",")[0] == (f"1 with {rules[0]} rule" if rules else "")
