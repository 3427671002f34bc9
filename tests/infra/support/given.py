"""What the backend hands to a module of the AWS program, under Pulumi's mocks, which record what the module adds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from infra.aws.environment import ENVIRONMENTS
from infra.aws.names import Names
from infra.aws.parts import Compute, Edge, Network, Stores
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.options import Options

ACCOUNT, REGION = "123456789012", "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Given:
    """The parts, as `infra.aws.parts` describes them."""

    names: Names
    settings: AwsSettings
    network: Network
    stores: Stores
    edge: Edge
    compute: Compute
    groups: Groups


def names(environment: str = "dev") -> Names:
    return Names(project="hm-mlflow", stack="aws", environment=environment, account=ACCOUNT, region=REGION)


def settings(environment: str = "dev", **changed: Any) -> AwsSettings:
    values = {
        "region": REGION,
        "environment": ENVIRONMENTS[environment],
        "protected": environment == "prod",
        "options": Options(login=True, keys=True, approval=environment == "prod"),
        "allowed_cidrs": ("203.0.113.7/32",),
        "edge": "balancer",
        "certificate_arn": None,
        "domain": "",
        "hosted_zone": None,
        "plain_http": False,
        "egress": "nat",
        "workers": 4,
        "alert_email": "team@example.com",
        "sleep_after": 0,
        "monthly_budget": 500,
        "restore_database": "",
        "retrain": "off",
        "commit": "0123456789abcdef",
    }
    return AwsSettings(**values | changed)


def added(module: Callable[[Given], Any], environment: str = "dev", **changed: Any) -> dict[str, dict[str, Any]]:
    """The inputs of every resource that a module adds to the given ones, by `Kind name`."""
    monitor = _Recorder()
    pulumi.runtime.set_all_config({})
    pulumi.runtime.set_mocks(monitor, project="hm-mlflow", stack="aws", preview=False)

    def program() -> None:
        module(_given(environment, changed))

    pulumi.runtime.test(program)()
    return {name: inputs for name, inputs in monitor.recorded.items() if not name.split(" ")[1].startswith("given-")}


class _Recorder(Mocks):
    def __init__(self) -> None:
        self.recorded: dict[str, dict[str, Any]] = {}

    def call(self, args: MockCallArgs) -> tuple[dict, list]:
        raise AssertionError(f"nothing is to be asked of AWS, but {args.token} was")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict]:
        if args.typ.startswith("hm-mlflow:"):
            return args.name, {}  # a group, which is nothing by itself
        kind = args.typ.split(":")[-1]
        name = args.name.removeprefix("given-")
        self.recorded[f"{kind} {args.name}"] = args.inputs
        known = {
            "arn": f"arn of {name}",
            "arnSuffix": f"suffix of {name}",
            "identifier": f"identifier of {name}",
            "name": args.inputs.get("name", name),
            "bucket": args.inputs.get("bucket", name),
        }
        return f"id of {name}", known | args.inputs


def _given(environment: str, changed: dict[str, Any]) -> Given:
    called = names(environment)

    def group(name: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(f"given-{name}")

    vpc = aws.ec2.Vpc("given-vpc")
    subnets = [aws.ec2.Subnet(f"given-{name}", vpc_id=vpc.id) for name in ("public", "private-1", "private-2")]
    services = ("mlflow", "ray-head", "ray-worker", "webapp")
    cluster = aws.ecs.Cluster("given-cluster", name="hm-mlflow-cluster")
    return Given(
        names=called,
        settings=settings(environment, **changed),
        network=Network(
            vpc=vpc,
            gateway=aws.ec2.InternetGateway("given-gateway", vpc_id=vpc.id),
            public_subnets=(subnets[0],),
            private_subnets=tuple(subnets[1:]),
            service_subnets=tuple(subnets[1:]),
            public_addresses=False,
            groups={name: group(name) for name in (*services, "jupyter", "edge", "database")},
            ways=(),
            namespace=aws.servicediscovery.PrivateDnsNamespace("given-zone", vpc=vpc.id, name=called.domain),
        ),
        stores=Stores(
            buckets={
                name: aws.s3.Bucket(f"given-{name}", bucket=called.bucket(name))
                for name in ("data", "artefacts", "state", "logs")
            },
            database=aws.rds.Instance("given-database", instance_class="db.t4g.micro"),
            secrets={
                name: aws.secretsmanager.Secret(f"given-{name}", name=called.secret(name))
                for name in (
                    *("ray-token", "jobs-api-key"),
                    *("mlflow-jobs-password", "mlflow-admin-password", "mlflow-serving-password"),
                )
            },
            versions={},
        ),
        groups=Groups(),
        edge=Edge(
            load_balancer=aws.lb.LoadBalancer("given-balancer"),
            target_groups={name: aws.lb.TargetGroup(f"given-{name}") for name in ("mlflow", "ray-head", "webapp")},
            rules=(),
            certificate="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            hosts={name: f"{name}.example" for name in ("mlflow", "ray-head", "webapp")},
            known=pulumi.Output.from_input({}),
        ),
        compute=Compute(
            cluster=cluster,
            services={name: aws.ecs.Service(f"given-{name}", name=name) for name in services},
            task_definitions={},
            log_groups={
                name: aws.cloudwatch.LogGroup(f"given-{name}", name=called.log_group(name)) for name in services
            },
        ),
    )
