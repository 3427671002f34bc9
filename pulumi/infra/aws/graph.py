"""What a stack on AWS asks for, as data: every resource with its inputs, and the settings that it was asked with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.aws.names import Names
from infra.aws.settings import AwsSettings


@dataclass(frozen=True)
class Asked:
    """A resource as AWS is asked for it. `kind` is as in `pulumi_aws`, `ecs.Service`; of others, `docker.Image`.

    Another resource's id stands there as `id of NAME`, its ARN as `arn of KIND NAME`. Policies and containers, which
    are JSON texts, are data.
    """

    kind: str
    name: str
    inputs: dict[str, Any]
    protected: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All that is asked for, with the settings and the names that it follows from."""

    resources: tuple[Asked, ...]
    settings: AwsSettings
    names: Names

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The inputs of the resources of a kind by name."""
        return {resource.name: resource.inputs for resource in self.resources if resource.kind == kind}

    def get(self, kind: str, name: str) -> Asked:
        """The one resource of that kind and name."""
        [found] = [resource for resource in self.resources if (resource.kind, resource.name) == (kind, name)]
        return found

    @property
    def careful(self) -> bool:
        """Whether it is prod, or as careful."""
        return self.settings.environment.careful


def kind_of(token: str) -> str:
    """`aws:ecs/service:Service` is `ecs.Service`, `docker:index/image:Image` is `docker.Image`."""
    provider, module, name = token.split(":")
    package = module.split("/")[0]
    return f"{provider if package == 'index' or provider != 'aws' else package}.{name}"


def parsed(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs with policies and containers, which are JSON texts, as data."""

    def read(key: str, value: Any) -> Any:
        if isinstance(value, str) and (key.lower().endswith("policy") or key == "containerDefinitions"):
            return json.loads(value) if value.startswith(("{", "[")) else value
        return value

    return {key: read(key, value) for key, value in inputs.items()}
