"""`pulumi preview --stack aws` by mocks: every resource of dev and prod, what differs, is told and is refused."""

import functools
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pulumi
import pytest

from infra.aws.settings import read_aws_settings
from infra.settings import SettingError
from tests.infra.support import graph as graph_of_aws
from tests.infra.support.graph import CERTIFICATE, configure, plain, record, recorded

TREE = (Path(__file__).parent / "resources.txt").read_text()
LISTED = [line.strip() for line in TREE.splitlines() if line.startswith(" ")]


def listed(graph) -> list[str]:
    return [str(resource) for resource in graph.resources]


def tree(graph) -> str:
    """The resources below their groups, as `pulumi preview` shows them."""
    groups = defaultdict(list)
    for resource in graph.resources:
        groups[resource.place.group].append(f"  {resource}\n")
    return "".join(f"{group}\n{''.join(groups[group])}" for group in sorted(groups))


# What prod has beside: who reads the X-rays and who connects to whom.
RECORDED = {"cloudtrail.Trail trail", "ec2.FlowLog flows"}


def test_these_resources_and_no_others_are_declared():
    assert tree(recorded("dev")) == TREE
    prod = recorded("prod")
    assert {str(one) for one in prod.resources} - set(LISTED) == RECORDED
    assert tree(replace(prod, resources=[one for one in prod.resources if str(one) not in RECORDED])) == TREE


def test_endpoints_take_the_place_of_the_nat_gateway():
    with_nat, without = set(LISTED), set(listed(recorded("dev", "endpoints")))
    assert with_nat - without == {"ec2.Eip nat", "ec2.NatGateway nat", "ec2.Route private"}
    assert {one for one in without - with_nat if one.startswith("ec2.VpcEndpoint")} == {
        f"ec2.VpcEndpoint {called}"
        for called in ("ecr-api", "ecr-dkr", "logs", "monitoring", "sagemaker-api", "secretsmanager", "sts")
    }


@pytest.mark.parametrize(("offering", "zones"), [("abc", "ab"), ("ac", "ac"), ("cb", "bc"), ("c", "ab"), ("", "ab")])
def test_a_stack_stands_where_there_is_the_machine_of_its_database(offering: str, zones: str, monkeypatch):
    imagined = functools.partialmethod(graph_of_aws._Aws.__init__, offering=offering)
    monkeypatch.setattr(graph_of_aws._Aws, "__init__", imagined)
    graph = record()
    there = {name: subnet["availabilityZone"][-1] for name, subnet in graph.of("ec2.Subnet").items()}
    assert there == {f"{kind}-{n}": zone for kind in ("public", "private") for n, zone in enumerate(zones, start=1)}
    assert graph.get("ec2.Subnet", "private-1").ignored == ("availabilityZone",)  # one that stands stays


def test_without_a_setting_dev_has_public_addresses_and_prod_a_nat_gateway():
    dev, prod = record(), record(environment="prod")
    assert (dev.outputs["egress"], prod.outputs["egress"]) == ("public", "nat")
    assert set(LISTED) - set(listed(dev)) == {"ec2.Eip nat", "ec2.NatGateway nat", "ec2.Route private"}
    assert listed(prod) == listed(recorded("prod"))
    assert dev.of("ec2.VpcEndpoint")["s3"]["routeTableIds"] == ["id of private", "id of public"]
    assert "subnets=[id of public-1,id of public-2]" in dev.outputs["train"]
    assert "assignPublicIp=ENABLED" in dev.outputs["train"]
    # What leads outside is there before the first image is fetched.
    ways = {"ec2.Route public", "ec2.RouteTableAssociation public-1", "ec2.RouteTableAssociation public-2"}
    assert ways <= set(dev.get("ecs.Service", "ray-head").needs)


def test_another_way_out_replaces_no_notebook_with_what_people_keep_on_it():
    assert recorded("dev").get("sagemaker.NotebookInstance", "notebook").ignored == ("directInternetAccess",)


def test_plain_http_in_dev_has_one_listener_that_answers():
    graph = record(plainHttp=True)
    [listener] = graph.of("lb.Listener").values()
    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    assert listener["defaultActions"][0]["fixedResponse"]["statusCode"] == "404"
    assert {rule["listenerArn"] for rule in graph.of("lb.ListenerRule").values()} == {"arn of lb.Listener edge-80"}
    assert "acm.Certificate" not in " ".join(listed(graph))
    assert {rule["fromPort"] for rule in graph.of("vpc.SecurityGroupIngressRule").values() if "cidrIpv4" in rule} == {
        80
    }


def test_a_certificate_of_your_own_is_used_as_it_is():
    graph = record(certificateArn=CERTIFICATE, tlsKey=None, tlsCertificate=None, tlsAuthority=None)
    assert "acm.Certificate edge" not in listed(graph)
    assert graph.of("lb.Listener")["edge-443"]["certificateArn"] == CERTIFICATE


def test_a_domain_with_its_public_zone_needs_no_hosts_line_and_no_authority():
    graph = record(domain="xray.example.com", hostedZoneId="Z0123456789ABC", tlsKey=None, tlsCertificate=None)
    [certificate] = graph.of("acm.Certificate").values()
    assert (certificate["domainName"], certificate["validationMethod"]) == ("*.xray.example.com", "DNS")
    assert graph.of("lb.Listener")["edge-443"]["certificateArn"] == "arn of acm.Certificate edge"
    assert "acm.CertificateValidation edge" in graph.get("lb.Listener", "edge-443").needs  # not before it is signed
    records = graph.of("route53.Record")
    asked = records.pop("edge")
    assert (asked["name"], asked["type"], asked["records"]) == ("_1.example.com.", "CNAME", ["_2.acm-validations.aws."])
    assert {one["name"] for one in records.values()} == {
        f"{host}.xray.example.com" for host in ("app", "mlflow", "ray")
    }
    assert {one["aliases"][0]["name"] for one in records.values()} == {"edge.example"}
    assert graph.of("servicediscovery.PrivateDnsNamespace")["zone"]["name"] == "xray.example.com"
    assert graph.outputs["webapp"] == "https://app.xray.example.com"
    assert graph.outputs["hosts"] is None
    assert "--cacert" not in json.dumps(graph.outputs)


def test_a_certificate_of_your_own_goes_with_a_domain():
    graph = record(certificateArn=CERTIFICATE, domain="xray.example.com")
    assert graph.outputs["mlflow"] == "https://mlflow.xray.example.com/#/experiments"
    assert "app.xray.example.com" in graph.outputs["hosts"]
    assert "route53.Record" not in " ".join(listed(graph))


def test_the_free_plan_gets_a_database_and_backups_that_it_may_have():
    database = record(accountPlan="free").of("rds.Instance")["database"]
    assert (database["backupRetentionPeriod"], database["instanceClass"]) == (1, "db.t4g.micro")
    assert not database["multiAz"]


def test_who_may_not_see_the_bills_has_no_budget():
    without = {str(one) for one in record(monthlyBudget=0, egress="nat").resources}
    assert set(LISTED) - without == {"budgets.Budget budget"}


def test_prod_is_larger_and_kept_longer_than_dev():
    dev, prod = recorded("dev"), recorded("prod")
    assert prod.of("rds.Instance")["database"]["backupRetentionPeriod"] == 14
    assert prod.of("rds.Instance")["database"]["finalSnapshotIdentifier"].endswith("-final")
    assert "finalSnapshotIdentifier" not in dev.of("rds.Instance")["database"]
    least = {graph.environment: graph.of("appautoscaling.Target")["ray-worker"]["minCapacity"] for graph in (dev, prod)}
    assert least == {"dev": 0, "prod": 1}


@pytest.mark.parametrize(
    ("settings", "approval"),
    [
        ({}, None),
        ({"environment": "prod"}, "required"),
        ({"approval": "required"}, "required"),
        ({"environment": "prod", "approval": "off"}, None),
    ],
    ids=["dev", "prod", "dev if told", "prod if told"],
)
def test_a_new_model_waits_for_a_person_in_prod_and_where_it_is_told_to(settings, approval):
    head, _ = json.loads(plain(record(**settings).of("ecs.TaskDefinition")["ray-head"]["containerDefinitions"]))
    given = {one["name"]: one["value"] for one in head["environment"]}
    assert given.get("APPROVAL") == approval
    assert given["WEBAPP_URI"] == "http://app.hm-mlflow.internal:8080"


def given(graph, service: str) -> dict[str, str]:
    """The environment of a service's own container."""
    container, *_ = json.loads(plain(graph.of("ecs.TaskDefinition")[service]["containerDefinitions"]))
    return {one["name"]: one["value"] for one in container["environment"]}


def test_the_page_asks_for_keys_unless_it_is_told_otherwise():
    page, head = given(recorded("dev"), "webapp"), given(recorded("dev"), "ray-head")
    assert page["API_KEYS_FILE"] == "/run/secrets/api-keys"
    assert page["API_KEYS_FROM_FILE"] == head["API_KEYS_FILE"] == "/run/secrets/jobs-api-key"
    assert 'curl --cacert .local/aws/authority.pem -H "X-API-Key: $API_KEY" -F' in recorded("dev").outputs["tests"][-1]
    without = record(keys="off", egress="nat")
    assert given(without, "webapp")["API_KEYS"] == "off"
    assert "API_KEY" not in json.dumps(without.outputs)
    assert set(LISTED) - set(listed(without)) == {
        f"secretsmanager.{kind} {name}" for kind in ("Secret", "SecretVersion") for name in ("api-keys", "jobs-api-key")
    }


def test_containers_and_images_are_for_the_same_processors():
    for architecture, of_ecs, platform in (("x86_64", "X86_64", "linux/amd64"), ("arm64", "ARM64", "linux/arm64")):
        graph = recorded("dev") if architecture == "x86_64" else record(architecture=architecture)
        tasks = graph.of("ecs.TaskDefinition").values()
        assert {one["runtimePlatform"]["cpuArchitecture"] for one in tasks} == {of_ecs}
        assert {one["build"]["platform"] for one in graph.of("docker.Image").values()} == {platform}


def test_a_network_that_is_named_twice_has_its_rules_once():
    twice = record(allowedCidrs=["203.0.113.7/32", "203.0.113.7"]).of("vpc.SecurityGroupIngressRule")
    assert len(twice) == len(record(allowedCidrs=["203.0.113.7/32"]).of("vpc.SecurityGroupIngressRule"))


def test_everybody_may_come_in_dev_with_keys():
    rules = record(allowedCidrs=["0.0.0.0/0"]).of("vpc.SecurityGroupIngressRule").values()
    assert "0.0.0.0/0" in {one.get("cidrIpv4") for one in rules}


def test_a_secret_that_gets_another_value_gives_those_who_use_it_another_task_definition_and_nobody_else():
    tasks = {
        name: {
            secret["name"]: secret["valueFrom"].split(":::")[1]
            for container in json.loads(plain(task["containerDefinitions"]))
            for secret in container.get("secrets", [])
        }
        for name, task in recorded("dev").of("ecs.TaskDefinition").items()
    }
    assert tasks["webapp"]["SECRET_API_KEYS"] == "version of api-keys"
    assert [name for name, secrets in tasks.items() if "SECRET_JOBS_API_KEY" in secrets] == ["ray-head", "webapp"]


def test_prod_without_data_to_keep_can_be_destroyed_and_still_leaves_a_snapshot():
    graph = record(environment="prod", keepData=False)
    assert not any(resource.protected for resource in graph.resources)
    assert graph.of("s3.Bucket")["data"]["forceDestroy"]
    database = graph.of("rds.Instance")["database"]
    assert (database["deletionProtection"], database["skipFinalSnapshot"]) == (False, False)


def test_a_stack_that_was_taken_down_leaves_no_name_that_the_next_one_wants(monkeypatch):
    """RDS writes its log group once more after the database's end, and prod's last snapshot stays."""

    def left() -> set[str]:
        graph = record(environment="prod")
        database = graph.of("rds.Instance")["database"]
        log = graph.of("cloudwatch.LogGroup")["database"]["name"]
        assert log == f"/aws/rds/instance/{database['identifier']}/postgresql"  # where RDS writes
        return {log, database["identifier"], database["finalSnapshotIdentifier"]}

    first = left()
    assert left() == first  # the same stack, once more `up`
    monkeypatch.setattr(graph_of_aws, "VPC", "vpc-of-the-next-one")
    assert not left() & first


def test_a_database_from_before_there_were_suffixes_keeps_its_name():
    graph = recorded("prod")
    assert graph.get("rds.Instance", "database").ignored == ("identifier",)
    assert graph.get("cloudwatch.LogGroup", "database").ignored == ("name",)


def test_autoscaling_owns_how_many_there_are():
    graph = recorded("dev")
    ignored = {name: graph.get("ecs.Service", name).ignored for name in graph.of("ecs.Service")}
    assert ignored == {"mlflow": (), "ray-head": (), "ray-worker": ("desiredCount",), "webapp": ("desiredCount",)}


def test_what_needs_a_way_to_aws_or_a_running_service_comes_behind_it():
    graph = recorded("dev")
    ways = {"ec2.Route private", "ec2.RouteTableAssociation private-1", "ec2.VpcEndpoint s3"}
    assert ways <= set(graph.get("sagemaker.NotebookInstance", "notebook").needs)
    assert "ec2.VpcEndpoint sts" in recorded("dev", "endpoints").get("sagemaker.NotebookInstance", "notebook").needs
    for name in ("webapp-missing", "no-ready-model"):  # it would ring before the first container runs
        assert "ecs.Service webapp" in graph.get("cloudwatch.MetricAlarm", name).needs


def test_services_start_behind_those_that_they_need():
    graph = recorded("dev")
    assert "ecs.Service mlflow" in graph.get("ecs.Service", "webapp").needs
    assert "ecs.Service ray-head" in graph.get("ecs.Service", "ray-worker").needs
    assert "lb.ListenerRule webapp" in graph.get("ecs.Service", "webapp").needs
    assert "iam.RolePolicy webapp-execution" in graph.get("ecs.TaskDefinition", "webapp").needs


def test_the_head_has_beside_it_what_says_how_many_workers_are_wanted():
    graph = recorded("dev")
    _, beside = json.loads(plain(graph.of("ecs.TaskDefinition")["ray-head"]["containerDefinitions"]))
    assert (beside["name"], beside["essential"]) == ("demand", False)
    assert beside["command"] == ["python", "-m", "ray_jobs.demand", "--slots", "2"]
    assert [secret["name"] for secret in beside["secrets"]] == ["SECRET_RAY_TOKEN"]
    [measure] = [one for name, one in graph.of("cloudwatch.LogMetricFilter").items() if name == "ray-worker"]
    assert measure["logGroupName"] == "/ecs/hm-mlflow-ray-head"
    assert measure["metricTransformation"]["value"] == "$.workers_wanted"


def test_another_stack_shares_no_name_with_the_first():
    def names(graph) -> set[str]:
        said = ("name", "bucket", "identifier", "family")
        return {text for one in graph.resources for text in (one.inputs.get(key) for key in said) if text}

    other = names(record(stack="aws-try"))
    shared = {name for name in names(recorded("dev")) & other if name.startswith(("hm-mlflow", "/ecs", "/aws"))}
    assert {name for name in shared if "id of" not in name} == set()
    assert "hm-mlflow-try-webapp" in other


def test_the_outputs_are_hosts_tests_and_next_commands_and_no_secret():
    outputs = recorded("dev").outputs
    assert outputs["webapp"] == "https://app.hm-mlflow.internal"
    assert 'gethostbyname("edge.example")' in outputs["hosts"]
    assert "mlflow.hm-mlflow.internal ray.hm-mlflow.internal app.hm-mlflow.internal" in outputs["hosts"]
    assert "curl -i --cacert .local/aws/authority.pem https://app.hm-mlflow.internal/healthz" in outputs["tests"]
    assert outputs["train"].startswith(
        "aws ecs run-task --cluster hm-mlflow-cluster --task-definition hm-mlflow-model-training"
    )
    assert "securityGroups=[id of model-training],assignPublicIp=DISABLED" in outputs["train"]
    assert set(outputs["deployed"]) == {"mlflow", "ray-head", "ray-worker", "webapp"}
    assert outputs["next"][-1].startswith(
        ".venv/bin/ray job submit --verify .local/aws/authority.pem --address https://"
    )
    assert "value of" not in json.dumps(outputs)


REFUSED = {
    "a region that is not set": ({"aws:region": None}, "aws:region is not set; it takes a region"),
    "a region without authority": ({"aws:region": "xx-north-9"}, "aws:region is xx-north-9; it takes a region"),
    "an environment": ({"environment": "test"}, "environment is 'test'; it takes dev or prod, for example: pulumi"),
    "an approval": ({"approval": "yes"}, "approval is 'yes'; it takes required or off, for example: pulumi"),
    "nobody allowed": ({"allowedCidrs": []}, "allowedCidrs is not set; it takes a list of IPv4 networks"),
    "no list": ({"allowedCidrs": "203.0.113.7/32"}, "allowedCidrs is '203.0.113.7/32'; it takes a list"),
    "a network with host bits": ({"allowedCidrs": ["203.0.113.7/24"]}, "allowedCidrs has '203.0.113.7/24' (203"),
    "too many networks": (
        {"allowedCidrs": [f"203.0.113.{number}" for number in range(31)]},
        "allowedCidrs has 31 networks; it takes up to 30",
    ),
    "a collector at no port": (
        {"tracesEndpoint": "https://collector.example.org:99999"},
        "tracesEndpoint is 'https://collector.example.org:99999' (Port out of range 0-65535); it takes an address",
    ),
    "no network": ({"allowedCidrs": ["my house"]}, "allowedCidrs has 'my house' ("),
    "everybody in prod": (
        {"allowedCidrs": ["0.0.0.0/0"], "environment": "prod"},
        "allowedCidrs has 0.0.0.0/0, which is nearly everybody, in prod; it takes a list of IPv4 networks",
    ),
    "everybody without keys": (
        {"allowedCidrs": ["203.0.113.7/32", "0.0.0.0/1"], "keys": "off"},
        "allowedCidrs has 0.0.0.0/1, which is nearly everybody, and keys is off; it takes on with so many",
    ),
    "keys": ({"keys": "yes"}, "keys is 'yes'; it takes on or off, for example: pulumi config set keys on"),
    "abstention": ({"abstain": "on"}, "abstain is 'on'; it takes near-threshold or off, for example: pulumi"),
    "a collector at another port": (
        {"tracesEndpoint": "https://collector.example.org:4317"},
        "tracesEndpoint is 'https://collector.example.org:4317'; on AWS containers go out by HTTPS alone",
    ),
    "a collector without TLS": ({"tracesEndpoint": "http://collector.example.org"}, "tracesEndpoint is 'http://coll"),
    "no address": ({"alertEmail": ""}, "alertEmail is ''; it takes the address to which alarms"),
    "half an address": ({"alertEmail": "team@"}, "alertEmail is 'team@'; it takes the address"),
    "a certificate of elsewhere": (
        {"certificateArn": CERTIFICATE.replace("eu-west-1", "us-east-1")},
        "certificateArn is 'arn:aws:acm:us-east-1",
    ),
    "plain HTTP in prod": (
        {"plainHttp": True, "environment": "prod"},
        "plainHttp is true and environment is prod; passwords would cross",
    ),
    "a way out": ({"egress": "vpn"}, "egress is 'vpn'; it takes public or nat or endpoints"),
    "public addresses in prod": (
        {"egress": "public", "environment": "prod"},
        "egress is public and environment is prod, where nothing but the load balancer",
    ),
    "a domain of one word": ({"domain": "xray"}, "domain is 'xray'; it takes a domain in small letters"),
    "a domain that is too long": ({"domain": f"{'x' * 43}.example.com"}, "domain is 'xxx"),
    "a zone by its address": (
        {"hostedZoneId": "/hostedzone/Z0123456789ABC"},
        "hostedZoneId is '/hostedzone/Z0123456789ABC'; it takes the id of a public zone",
    ),
    "a public zone without a domain": ({"hostedZoneId": "Z1"}, "domain is '' and hostedZoneId is set; it takes"),
    "a public zone of a private domain": (
        {"hostedZoneId": "Z1", "domain": "hm-mlflow.internal"},
        "domain is 'hm-mlflow.internal' and hostedZoneId is set",
    ),
    "an edge": ({"edge": "nginx"}, "edge is 'nginx'; it takes balancer or cloudfront, for example: pulumi config set"),
    "CloudFront with a zone": (
        {"edge": "cloudfront", "hostedZoneId": "Z1", "domain": "xray.example.com"},
        "edge is cloudfront and hostedZoneId is set; CloudFront has its own addresses and their certificates. It takes",
    ),
    "CloudFront with a certificate": (
        {"edge": "cloudfront", "certificateArn": CERTIFICATE},
        "edge is cloudfront and certificateArn is set",
    ),
    "CloudFront without HTTPS": ({"edge": "cloudfront", "plainHttp": True}, "edge is cloudfront and plainHttp is set"),
    "everybody by CloudFront in prod": (
        {"edge": "cloudfront", "allowedCidrs": ["0.0.0.0/0"], "environment": "prod"},
        "allowedCidrs has 0.0.0.0/0, which is nearly everybody, in prod",
    ),
    "sleep in prod": (
        {"sleepAfter": "4h", "environment": "prod"},
        "sleepAfter is 4h and environment is prod, whose page always answers; it takes never here, for example: pulumi",
    ),
    "sleep and a clock that retrains": (
        {"sleepAfter": "4h", "retrain": "weekly"},
        "sleepAfter is 4h and retrain is weekly: nothing retrains a stack that sleeps",
    ),
    "sleep in minutes": ({"sleepAfter": "90m"}, "sleepAfter is '90m'; it takes never, or 1h to 24h, for example"),
    "no workers": ({"workers": 0}, "workers is 0; on AWS it takes 1 to 64"),
    "too many workers": ({"workers": 65}, "workers is 65; on AWS it takes 1 to 64"),
    "a budget below nothing": ({"monthlyBudget": -1}, "monthlyBudget is '-1'; on AWS it takes 0 to 1000000"),
    "no sum": ({"monthlyBudget": "much"}, "monthlyBudget is 'much'; on AWS it takes 0 to 1000000 dollars, for example"),
    "a processor": ({"architecture": "mips"}, "architecture is 'mips'; it takes x86_64 or arm64, for example: pulumi"),
    "a plan": ({"accountPlan": "gold"}, "accountPlan is 'gold'; it takes paid or free"),
    "prod on the free plan": (
        {"accountPlan": "free", "environment": "prod"},
        "accountPlan is free and environment is prod; AWS gives a free plan neither",
    ),
    "no certificate": ({"tlsKey": None}, "tlsKey, tlsCertificate or tlsAuthority is not set in aws; `make stack"),
    "no secret": ({"rayToken": None}, "rayToken is not set in aws; `make stack` makes every secret."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_setting_that_cannot_be_stops_the_program_with_one_message(case: str):
    settings, message = REFUSED[case]
    with pytest.raises(pulumi.RunError) as refused:
        record(**settings)
    assert str(refused.value).startswith(message)
    assert "for example: pulumi config set" in str(refused.value) or "make stack" in str(refused.value)


def test_the_name_of_a_stack_has_to_fit_into_the_names_of_aws():
    configure(stack="aws-a-name-that-is-long")
    with pytest.raises(SettingError, match="The stack is called 'aws-a-name-that-is-long'; on AWS"):
        read_aws_settings()


def test_the_longest_name_of_a_stack_gives_names_that_aws_takes():
    graph = record(stack="aws-abcdefghijkl")
    assert max(len(group["name"]) for group in graph.of("lb.TargetGroup").values()) <= 32
    assert max(len(bucket["bucket"]) for bucket in graph.of("s3.Bucket").values()) <= 63
    assert max(len(role["name"]) for role in graph.of("iam.Role").values()) <= 64
