"""The program `pulumi/__main__.py`, run against Pulumi's own mocks, which record every resource it asks for."""

import runpy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from infra.inputs import plain
from infra.settings import ROOT

# Each secret of the stack by its setting; its value says which one it is.
SECRETS = {
    "databasePassword": "value of database-password",
    "rayToken": "value of ray-token",
    "jupyterToken": "value of jupyter-token",
    "grafanaPassword": "value of grafana-password",
    "objectStorePassword": "value of object-store-password",
    "apiKeys": "value of api-keys",
    "jobsApiKey": "value of jobs-api-key",
    "mlflowAdminPassword": "value of mlflow-admin-password",
    "mlflowJobsPassword": "value of mlflow-jobs-password",
    "mlflowServingPassword": "value of mlflow-serving-password",
    "mlflowSessionKey": "value of mlflow-session-key",
}
DEFAULTS = {"workers": "1", "jupyter": "false", "dashboards": "false", "login": "false", "keepData": "true"}


@dataclass(frozen=True)
class Place:
    """Where a resource stands in the preview's tree, and what an earlier state may know it by.

    `token` is its whole type; `group` the kind and the name of its group, empty at the root; `aliased_to_root` whether
    the same type and name at the root is taken for it.
    """

    token: str
    group: str
    aliased_to_root: bool


def place(request: Any) -> Place:
    """The place that a request asks for."""
    *_, kinds, name = request.parent.split("::")
    kind = kinds.split("$")[-1].split(":")[-1]
    at_the_root = [alias.spec for alias in request.aliases if alias.spec.noParent]
    return Place(
        token=request.type,
        group="" if kind == "Stack" else f"{kind} {name}",
        aliased_to_root=any(not spec.name and not spec.type for spec in at_the_root),
    )


@dataclass(frozen=True)
class Resource:
    """What Pulumi was asked for; `needs` are the resources that have to be there first, as `Kind name`."""

    kind: str
    name: str
    inputs: dict[str, Any]
    needs: tuple[str, ...]
    retained: bool
    deleted_first: bool
    place: Place

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Stack:
    """A run of the program."""

    resources: tuple[Resource, ...]
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Resource]:
        """The resources of a kind by name."""
        return {resource.name: resource for resource in self.resources if resource.kind == kind}


def configure(*, stack: str = "local", **settings: str | None) -> "_Recorder":
    """Stand in for Pulumi, with the default settings and every secret changed as said; None takes one away."""
    config = DEFAULTS | SECRETS | settings
    pulumi.runtime.set_all_config(
        {f"hm-mlflow:{name}": value for name, value in config.items() if value is not None},
        secret_keys=[f"hm-mlflow:{name}" for name in SECRETS],
    )
    monitor = _Recorder()
    pulumi.runtime.set_mocks(monitor.mocks, project="hm-mlflow", stack=stack, preview=False, monitor=monitor)
    return monitor


def record(program: Callable[[], Any] | None = None, *, stack: str = "local", **settings: str | None) -> Stack:
    """Run the program, or another one in its place, with these settings until every resource is registered."""
    monitor = configure(stack=stack, **settings)
    root = pulumi.runtime.get_root_resource()
    root.outputs = {}  # Pulumi keeps one for the process
    pulumi.runtime.test(lambda: (program or _main)() and None)()
    return Stack(tuple(sorted(monitor.recorded, key=str)), dict(root.outputs))


def _main() -> None:
    runpy.run_path(str(ROOT / "pulumi" / "__main__.py"), run_name="__main__")


class _Outputs(Mocks):
    """What the Docker provider would answer: the id of an image names the image."""

    def call(self, args: MockCallArgs) -> tuple[dict, list]:
        raise AssertionError(f"the program asks Docker nothing, but called {args.token}")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict]:
        known = {"Image": "repoDigest", "RemoteImage": "imageId"}.get(args.typ.split(":")[-1])
        return args.name, args.inputs | ({known: f"id of {args.name}"} if known else {})


class _Recorder(MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Outputs())
        self.recorded: list[Resource] = []

    def RegisterResource(self, request):
        if request.custom:
            self.recorded.append(
                Resource(
                    kind=request.type.split(":")[-1],
                    name=request.name,
                    inputs=plain(MessageToDict(request.object)),
                    needs=tuple(sorted(_said(urn) for urn in request.dependencies)),
                    retained=request.retainOnDelete,
                    deleted_first=request.deleteBeforeReplace,
                    place=place(request),
                )
            )
        return super().RegisterResource(request)


def _said(urn: str) -> str:
    *_, kind, name = urn.split("::")
    return f"{kind.split(':')[-1]} {name}"
