"""The program of a stack on AWS, run against Pulumi's own mocks, which record the whole graph."""

import functools
import json
import runpy
from dataclasses import dataclass, field
from typing import Any

import pulumi
import yaml
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.mocks import MockMonitor, MockResourceArgs

from infra import inputs
from infra.aws.graph import kind_of
from infra.aws.imagined import ACCOUNT, Imagined
from infra.settings import ROOT
from tests.infra.support.recorded import SECRETS, Place, place

REGION = "eu-west-1"
CIDRS = ["203.0.113.0/24", "198.51.100.7/32"]
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/12345678-90ab-cdef-1234-567890abcdef"
TLS = {"tlsKey": "value of tls-key", "tlsCertificate": "a certificate", "tlsAuthority": "its authority"}
VPC = "id of vpc"
DATABASE_SECRET = Imagined(REGION).database_secret


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
def recorded(environment: str, egress: str = "nat", edge: str = "balancer") -> Graph:
    """The graph of an environment, run once for all tests."""
    return record(environment=environment, egress=egress, edge=edge)


class _Aws(Imagined):
    """What AWS would answer, with a network that a test can make another one."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        made, known = super().new_resource(args)
        return (VPC if kind_of(args.typ) == "ec2.Vpc" else made), known


class _Recorder(MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Aws(REGION))
        self.recorded: list[Resource] = []

    def RegisterResource(self, request):
        if request.custom:
            self.recorded.append(
                Resource(
                    kind=kind_of(request.type),
                    name=request.name,
                    inputs=inputs.plain(MessageToDict(request.object)),
                    needs=tuple(sorted(_said(urn) for urn in request.dependencies)),
                    protected=request.protect,
                    ignored=tuple(request.ignoreChanges),
                    place=place(request),
                )
            )
        return super().RegisterResource(request)


def _said(urn: str) -> str:
    *_, kind, name = urn.split("::")
    return f"{kind_of(kind.split('$')[-1])} {name}"


def plain(value: Any) -> Any:
    """The same without the marks of secrets."""
    if isinstance(value, inputs.Hidden):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value
