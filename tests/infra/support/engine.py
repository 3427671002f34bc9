"""What Pulumi's engine tells a policy pack, said to the pack as a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.aws.graph import Asked, Graph
from infra.aws.imagined import own_name
from infra.inputs import Hidden
from infra.settings import ROOT
from tests.infra.support.graph import CIDRS, REGION, defaults, text

# How the engine says that it does not know a text yet.
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_MARK, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
_SHAPES = {
    "ec2.Vpc": "vpc",
    "ec2.Subnet": "subnet",
    "ec2.SecurityGroup": "sg",
    "ec2.RouteTable": "rtb",
    "ec2.NatGateway": "nat",
}
_OF_CLOUDFRONT = ".cloudfront.net"


class Engine:
    """Pulumi's engine, as far as a pack sees it. `first` is a first preview, in which no id and no ARN is known."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._pack = analyzer_pb2_grpc.AnalyzerStub(channel)
        self.policies = [one.name for one in self._pack.GetAnalyzerInfo(Empty()).policies]

    def only(self, rule: str) -> None:
        """Switch off every policy but the one of a rule, and the one that takes down what is asked for."""
        wanted = {rule.replace("_", "-"), "what-is-asked-for"}
        levels = {
            name: analyzer_pb2.PolicyConfig(
                enforcementLevel=analyzer_pb2.MANDATORY if name in wanted else analyzer_pb2.DISABLED
            )
            for name in self.policies
        }
        self._pack.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=levels))

    def tell(self, graph: Graph, resources: tuple[Asked, ...] | None = None, *, first: bool = False) -> None:
        """Each resource, or some, as the engine is about to ask for it."""
        for one in resources or graph.resources:
            self._pack.Analyze(analyzer_pb2.AnalyzeRequest(**_request(graph, one, first=first)))

    def violations(self, graph: Graph, *, first: bool = False) -> list[str]:
        """What the pack says of the whole stack."""
        told = [
            analyzer_pb2.AnalyzerResource(**_request(graph, one, first=first, outputs=True)) for one in graph.resources
        ]
        answer = self._pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=told))
        return [f"{one.policyName}: {one.message}" for one in answer.diagnostics]


@contextmanager
def pack(environment: str, egress: str = "nat", *, stack: str = "aws", **settings: Any) -> Iterator[Engine]:
    """The pack as Pulumi starts it for a stack with these settings."""
    whole = defaults() | {"environment": environment, "egress": egress, "allowedCidrs": CIDRS} | settings
    config = {f"hm-mlflow:{name}": text(value) for name, value in whole.items()} | {"aws:region": REGION}
    with subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "pulumi" / "policy")],
        env=os.environ
        | {
            "PULUMI_CONFIG": json.dumps(config),
            "PULUMI_PROJECT": "hm-mlflow",
            "PULUMI_STACK": stack,
            "PULUMI_DRY_RUN": "true",
        },
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            port = process.stdout.readline().strip()
            assert port, "the pack ended before it said where it listens"
            most = [("grpc.max_receive_message_length", 2**28), ("grpc.max_send_message_length", 2**28)]
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=most) as channel:
                yield Engine(channel)
        finally:
            process.terminate()


def _request(graph: Graph, one: Asked, *, first: bool, outputs: bool = False) -> dict[str, Any]:
    inputs = {key: _text_of(key, value) for key, value in one.inputs.items()}
    names = {} if first else _given(graph)
    said = {key: _said(value, names, first=first) for key, value in inputs.items()}
    if outputs:
        own = {f"id of {one.name}": "id", f"arn of {one.kind} {one.name}": "arn"}
        own |= {own_name(one.name): "domainName"} if one.kind == "cloudfront.Distribution" else {}
        said |= {key: _UNKNOWN if first else names[words] for words, key in own.items() if first or words in names}
    return {
        "type": _token(one.kind),
        "name": one.name,
        "urn": f"urn:pulumi:aws::hm-mlflow::{_token(one.kind)}::{one.name}",
        "properties": ParseDict(said, Struct()),
        "options": analyzer_pb2.AnalyzerResourceOptions(protect=one.protected),
    }


def _token(kind: str) -> str:
    module, name = kind.split(".")
    return f"docker:index/{name.lower()}:{name}" if module == "docker" else f"aws:{module}/{name.lower()}:{name}"


def _text_of(key: str, value: Any) -> Any:
    if isinstance(value, dict | list) and (key.lower().endswith("policy") or key == "containerDefinitions"):
        return json.dumps(value)
    return value


def _given(graph: Graph) -> dict[str, str]:
    """What AWS would give each resource, by the words that stand for it."""
    found = {}
    for one in graph.resources:
        number = hashlib.sha256(str(one).encode()).hexdigest()[:17]
        if one.kind in _SHAPES:
            found[f"id of {one.name}"] = f"{_SHAPES[one.kind]}-{number}"
        if one.kind == "cloudfront.VpcOrigin":
            found[f"id of {one.name}"] = f"vo_{number}"
        if one.kind == "cloudfront.Distribution":
            found[own_name(one.name)] = f"d{number}{_OF_CLOUDFRONT}"
        found[f"arn of {one.kind} {one.name}"] = f"arn:aws:any:{REGION}:{graph.names.account}:{number}"
    return found


def _said(value: Any, names: dict[str, str], *, first: bool) -> Any:
    if isinstance(value, Hidden):
        return {_MARK: _SECRET, "value": _said(value.value, names, first=first)}
    if isinstance(value, dict):
        return {key: _said(part, names, first=first) for key, part in value.items()}
    if isinstance(value, list):
        return [_said(part, names, first=first) for part in value]
    if not isinstance(value, str):
        return value
    if first and any(part in value for part in ("id of ", "arn of ", "@sha256:", _OF_CLOUDFRONT)):
        return _UNKNOWN
    if value in names:
        return names[value]
    if value.startswith(("{", "[")):  # a policy or containers, in which ids and ARNs stand quoted
        for words, given in names.items():
            value = value.replace(json.dumps(words), json.dumps(given))
            value = value.replace(f'"{words}:::', f'"{given}:::')  # a secret with its version
    return value
