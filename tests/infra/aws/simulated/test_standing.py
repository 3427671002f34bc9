"""The whole graph, created on a simulated AWS by Terraform's own provider, and looked at from outside."""

import json
import re
from typing import Any

import pytest

from tests.infra.support.simulation import LONG, Simulated

pytestmark = LONG
_TAGS = {"tags", "tags_all"}
# What a second plan may still want to change, by the kind of resource: what the simulation takes and does not tell.
# Tags, where the tool answers for it with none; descriptions of rules between groups, a database's parameters and
# insights, a notebook's details.
FORGOTTEN = {
    "aws_appautoscaling_target": _TAGS,
    "aws_budgets_budget": _TAGS,
    "aws_db_instance": {"performance_insights_enabled", "performance_insights_retention_period"},
    "aws_db_parameter_group": {"parameter"},
    "aws_ecs_service": {
        "availability_zone_rebalancing",
        "enable_ecs_managed_tags",
        "health_check_grace_period_seconds",
    },
    "aws_sagemaker_notebook_instance": {
        "accelerator_types",
        "additional_code_repositories",
        "arn",
        "id",
        "instance_metadata_service_configuration",
        "network_interface_id",
        "platform_identifier",
        "url",
    },
    "aws_sagemaker_notebook_instance_lifecycle_configuration": _TAGS,
    "aws_vpc_security_group_egress_rule": {"description"},
    "aws_vpc_security_group_ingress_rule": {"description"},
}


def test_planning_again_changes_nothing_but_what_the_simulation_forgets(aws: Simulated):
    plan = aws.terraform("plan", "-detailed-exitcode")
    assert plan.returncode in (0, 2), plan.stderr
    changes: dict[str, set[str]] = {}
    for change in re.split(r"(?m)^  # ", plan.stdout)[1:]:
        changes.setdefault(change.split(".")[0], set()).update(re.findall(r"(?m)^      [-+~] (\w+)", change))
    assert {kind: more for kind, changed in changes.items() if (more := changed - FORGOTTEN.get(kind, set()))} == {}
    assert changes.keys() <= FORGOTTEN.keys()


def test_each_host_leads_to_the_containers_of_its_service(aws: Simulated):
    balancing, ecs = aws.client("elbv2"), aws.client("ecs")
    [balancer] = balancing.describe_load_balancers()["LoadBalancers"]
    listeners = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    [secure] = [listener for listener in listeners if listener["Port"] == 443]
    found = {}
    for rule in balancing.describe_rules(ListenerArn=secure["ListenerArn"])["Rules"]:
        for condition in rule["Conditions"]:
            [action] = rule["Actions"]
            found[condition["HostHeaderConfig"]["Values"][0]] = action["TargetGroupArn"]
    names = {"mlflow": "mlflow", "app": "webapp", "ray": "ray-head"}
    services = ecs.describe_services(
        cluster="hm-mlflow-cluster", services=[f"hm-mlflow-{service}" for service in names.values()]
    )["services"]
    behind = {service["loadBalancers"][0]["targetGroupArn"]: service for service in services}
    for host, service in names.items():
        group = found[f"{host}.hm-mlflow.internal"]
        assert behind[group]["serviceName"] == f"hm-mlflow-{service}"
        [described] = balancing.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
        assert described["Port"] == behind[group]["loadBalancers"][0]["containerPort"]
    registered = aws.client("servicediscovery").list_services()["Services"]
    assert {service["Name"] for service in registered} == set(names)


def test_services_reach_the_world_by_the_way_of_their_environment_and_s3_by_its_endpoint(aws: Simulated):
    ec2 = aws.client("ec2")
    if aws.environment == "dev":
        assert ec2.describe_nat_gateways()["NatGateways"] == []
        [public] = [
            table
            for table in ec2.describe_route_tables()["RouteTables"]
            if {"Key": "Name", "Value": "hm-mlflow-public"} in table.get("Tags", [])
        ]
        ways = {route.get("DestinationCidrBlock"): route.get("GatewayId") for route in public["Routes"]}
        assert ways["0.0.0.0/0"].startswith("igw-")
        assert len(public["Associations"]) == 2
        [endpoint] = ec2.describe_vpc_endpoints()["VpcEndpoints"]
        assert public["RouteTableId"] in endpoint["RouteTableIds"]
        return
    [private] = [
        table
        for table in ec2.describe_route_tables()["RouteTables"]
        if {"Key": "Name", "Value": "hm-mlflow-private"} in table.get("Tags", [])
    ]
    [nat] = ec2.describe_nat_gateways()["NatGateways"]
    ways = {route.get("DestinationCidrBlock"): route.get("NatGatewayId") for route in private["Routes"]}
    assert ways["0.0.0.0/0"] == nat["NatGatewayId"]
    assert len(private["Associations"]) == 2
    [endpoint] = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert endpoint["RouteTableIds"] == [private["RouteTableId"]]


def tasks(aws: Simulated) -> dict[str, dict[str, Any]]:
    ecs = aws.client("ecs")
    arns = ecs.list_task_definitions()["taskDefinitionArns"]
    found = [ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"] for arn in arns]
    return {task["family"].removeprefix("hm-mlflow-"): task for task in found}


def test_every_task_gets_its_image_its_log_and_its_secrets(aws: Simulated):
    manager, groups = aws.client("secretsmanager"), aws.client("logs").describe_log_groups()["logGroups"]
    repositories = {one["repositoryUri"]: one for one in aws.client("ecr").describe_repositories()["repositories"]}
    logs = {group["logGroupName"]: group["arn"].removesuffix(":*") for group in groups}
    assert set(tasks(aws)) == {"mlflow", "ray-head", "ray-worker", "webapp", "model-training"}
    for name, task in tasks(aws).items():
        starter = f"{name}-execution"
        assert task["executionRoleArn"].endswith(f"role/hm-mlflow-{starter}")
        for container in task["containerDefinitions"]:
            repository = repositories[container["image"].split("@")[0].rsplit(":", 1)[0]]
            assert aws.allows(starter, "ecr:BatchGetImage", repository["repositoryArn"])
            log = logs[container["logConfiguration"]["options"]["awslogs-group"]]
            assert aws.allows(starter, "logs:PutLogEvents", f"{log}:log-stream:any")
            for secret in container["secrets"]:
                where, _, version = secret["valueFrom"].partition(":::")
                stored = manager.get_secret_value(SecretId=where, VersionId=version)["SecretString"]
                assert stored == f"value of {secret['name'].removeprefix('SECRET_').lower().replace('_', '-')}"
                assert aws.allows(starter, "secretsmanager:GetSecretValue", where)
        assert not aws.allows(starter, "s3:GetObject", "arn:aws:s3:::hm-mlflow-data-123456789012-us-east-1/a")


def test_mlflow_knows_the_database_that_there_is_and_may_read_its_password(aws: Simulated):
    [database] = aws.client("rds").describe_db_instances()["DBInstances"]
    [container] = tasks(aws)["mlflow"]["containerDefinitions"]
    environment = {variable["name"]: variable["value"] for variable in container["environment"]}
    host, port = database["Endpoint"]["Address"], 5432
    assert environment["MLFLOW_BACKEND_STORE_URI"] == f"postgresql+psycopg2://mlflow@{host}:{port}/mlflow"
    secret = database["MasterUserSecret"]["SecretArn"]
    assert environment["DATABASE_SECRET"] == secret
    assert aws.allows("mlflow-task", "secretsmanager:GetSecretValue", secret)
    assert set(json.loads(aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])) >= {
        "username",
        "password",
    }


BUCKET = "arn:aws:s3:::hm-mlflow-{}-123456789012-us-east-1"
# What no code has a reason to do; `test_calls.py` records what it does, and compares that with the policies.
REFUSED = {
    "ray-head-task": (
        ("s3:PutObject", "data/a.png"),
        ("s3:DeleteObject", "data/a.png"),
        ("s3:GetObject", "artefacts/a"),
        ("s3:GetObject", "logs/a"),
    ),
    "ray-worker-task": (("s3:PutObject", "data/a.png"), ("s3:GetObject", "artefacts/a")),
    "mlflow-task": (("s3:GetObject", "data/a.png"), ("s3:PutObject", "state/a")),
    "webapp-task": (("s3:GetObject", "data/a.png"), ("s3:GetObject", "artefacts/a")),
    "notebook": (("s3:PutObject", "data/a.png"), ("s3:PutObject", "state/a"), ("s3:GetObject", "state/predictions/a")),
}


@pytest.mark.parametrize("role", REFUSED)
def test_a_role_refuses_what_is_none_of_its_business(aws: Simulated, role: str):
    for action, path in REFUSED[role]:
        bucket, *key = path.split("/", 1)
        resource = "/".join((BUCKET.format(bucket), *key))
        assert not aws.allows(role, action, resource), (role, action, path)


def test_people_come_in_at_the_edge_alone(aws: Simulated):
    rules = aws.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    outside = {(rule["CidrIpv4"], rule["FromPort"]) for rule in rules if not rule["IsEgress"] and rule.get("CidrIpv4")}
    assert outside == {("203.0.113.0/24", 80), ("203.0.113.0/24", 443)}
