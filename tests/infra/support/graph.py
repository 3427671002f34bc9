"""The program of a stack on AWS, run against Pulumi's own mocks, which record the whole graph."""

import functools
import json
import runpy
from dataclasses import dataclass, field
from typing import Any

import pulumi
import yaml
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from infra.settings import ROOT
from tests.infra.support.recorded import SECRETS, Place, Secret, _plain, place

ACCOUNT, REGION = "123456789012", "eu-west-1"
CIDRS = ["203.0.113.0/24", "198.51.100.7/32"]
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/12345678-90ab-cdef-1234-567890abcdef"
TLS = {"tlsKey": "value of tls-key", "tlsCertificate": "a certificate", "tlsAuthority": "its authority"}
VPC = "id of vpc"
DATABASE_SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-0f3e-AbCdEf"


def defaults() -> dict[str, str]:
    """What Pulumi.yaml says of every setting."""
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return {name: text(setting["default"]) for name, setting in described.items()}


def text(value: Any) -> str:
    """A setting as `pulumi config` keeps it."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Resource:
    """What AWS was asked for. `kind` is as in `pulumi_aws`, `ecs.Service`; of other providers, `docker.Image`."""

    kind: str
    name: str
    inputs: dict[str, Any]
    needs: tuple[str, ...] = ()
    protected: bool = False
    ignored: tuple[str, ...] = ()
    place: Place | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Graph:
    """A run of the program."""

    resources: tuple[Resource, ...]
    environment: str
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The inputs of the resources of a kind by name."""
        return {resource.name: resource.inputs for resource in self.resources if resource.kind == kind}

    def get(self, kind: str, name: str) -> Resource:
        [found] = [resource for resource in self.resources if (resource.kind, resource.name) == (kind, name)]
        return found


def configure(*, stack: str = "aws", **settings: Any) -> "_Recorder":
    """Stand in for Pulumi, with the settings that have to be set, changed as said; None takes one away."""
    there = {"allowedCidrs": CIDRS, "alertEmail": "team@example.com", "aws:region": REGION, **SECRETS, **TLS}
    config = {name: text(value) for name, value in (defaults() | there | settings).items() if value is not None}
    pulumi.runtime.set_all_config(
        {name if ":" in name else f"hm-mlflow:{name}": value for name, value in config.items()},
        secret_keys=[f"hm-mlflow:{name}" for name in (*SECRETS, "tlsKey")],
    )
    monitor = _Recorder()
    pulumi.runtime.set_mocks(monitor.mocks, project="hm-mlflow", stack=stack, preview=False, monitor=monitor)
    return monitor


def record(*, stack: str = "aws", **settings: Any) -> Graph:
    """Run the program with these settings until every resource is registered."""
    monitor = configure(stack=stack, **settings)
    root = pulumi.runtime.get_root_resource()
    root.outputs = {}  # Pulumi keeps one for the process

    outputs: dict[str, Any] = {}

    def program() -> pulumi.Output[None]:
        runpy.run_path(str(ROOT / "pulumi" / "__main__.py"), run_name="__main__")
        return pulumi.Output.all(**root.outputs).apply(outputs.update)

    pulumi.runtime.test(program)()
    environment = settings.get("environment", defaults()["environment"])
    return Graph(tuple(sorted(monitor.recorded, key=str)), environment, outputs)


@functools.cache
def recorded(environment: str, egress: str = "nat") -> Graph:
    """The graph of an environment, run once for all tests."""
    return record(environment=environment, egress=egress)


class _Aws(Mocks):
    """What AWS and Docker would answer: an identity, an address, and what the program reads of a resource."""

    def call(self, args: MockCallArgs) -> dict[str, Any]:
        return {
            "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": [f"{REGION}{zone}" for zone in "abc"]},
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
                "proxyEndpoint": "https://registry.example",
                "userName": "AWS",
                "password": "value of the registry's password",
            },
        }[args.token]

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        kind = _kind(args.typ)
        known = {
            "docker.Image": {"repoDigest": f"{args.name}@sha256:{'0' * 64}"},
            "ecr.Repository": {"repositoryUrl": f"registry.example/{args.inputs.get('name')}"},
            "rds.Instance": {
                "address": "database.example",
                "masterUserSecrets": [{"secretArn": DATABASE_SECRET}],
            },
            "acm.Certificate": {
                "domainValidationOptions": [
                    {
                        "domainName": args.inputs.get("domainName"),
                        "resourceRecordName": "_1.example.com.",
                        "resourceRecordType": "CNAME",
                        "resourceRecordValue": "_2.acm-validations.aws.",
                    }
                ]
            },
            "acm.CertificateValidation": {"certificateArn": args.inputs.get("certificateArn")},
            "route53.Record": {"fqdn": f"{args.name}.example"},
            "lb.LoadBalancer": {"dnsName": "edge.example", "arnSuffix": f"app/{args.name}/1", "zoneId": "Z1"},
            "lb.TargetGroup": {"arnSuffix": f"targetgroup/{args.name}/1"},
        }.get(kind, {})
        # A bucket's id is its name.
        made = {"s3.Bucket": args.inputs.get("bucket"), "ec2.Vpc": VPC}.get(kind, f"id of {args.name}")
        return made, {
            "arn": f"arn of {kind} {args.name}",
            **args.inputs,
            **known,
        }


class _Recorder(MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Aws())
        self.recorded: list[Resource] = []

    def RegisterResource(self, request):
        if request.custom:
            self.recorded.append(
                Resource(
                    kind=_kind(request.type),
                    name=request.name,
                    inputs=_plain(MessageToDict(request.object)),
                    needs=tuple(sorted(_said(urn) for urn in request.dependencies)),
                    protected=request.protect,
                    ignored=tuple(request.ignoreChanges),
                    place=place(request),
                )
            )
        return super().RegisterResource(request)


def _kind(token: str) -> str:
    """`aws:ecs/service:Service` is `ecs.Service`, `docker:index/image:Image` is `docker.Image`."""
    provider, module, name = token.split(":")
    package = module.split("/")[0]
    return f"{provider if package == 'index' or provider != 'aws' else package}.{name}"


def _said(urn: str) -> str:
    *_, kind, name = urn.split("::")
    return f"{_kind(kind.split('$')[-1])} {name}"


def plain(value: Any) -> Any:
    """The same without the marks of secrets."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value
