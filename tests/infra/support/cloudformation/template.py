"""A recorded graph as a CloudFormation template, which is never deployed: cfn-lint knows what AWS takes of each value.

Names follow by rule (`enableDnsSupport` is `EnableDnsSupport`) or are in a table here. A property that neither gives
fails, so that nothing goes unchecked because nobody thought of it.
"""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.infra.support.cloudformation.limits import LIMITS
from tests.infra.support.cloudformation.names import ARNS, IDS, NOT_THERE, PARTS, TYPES
from tests.infra.support.cloudformation.shapes import PREPARED
from tests.infra.support.graph import ACCOUNT, REGION, Graph, Resource, plain

_ARN = re.compile(r"arn of (\w+\.\w+) ([\w-]+)")


def template(graph: Graph) -> dict[str, Any]:
    """The template of a graph; LookupError where something of it has no place there."""
    found: dict[str, Any] = {}
    named: dict[tuple[str, str], dict[str, Any]] = {}
    parts: list[tuple[Resource, dict[str, Any]]] = []
    for resource in graph.resources:
        if resource.kind in NOT_THERE:
            continue
        inputs = _literal(plain(resource.inputs))
        if resource.kind in PARTS:
            parts.append((resource, inputs))
            continue
        kind, renamed = TYPES[resource.kind]
        prepared = PREPARED.get(resource.kind, dict)(inputs)
        properties = _properties(_schema(f"AWS::{kind}"), prepared, renamed, str(resource))
        found[_logical(resource)] = {"Type": f"AWS::{kind}", "Properties": properties} | _kept(resource)
        named[resource.kind, inputs.get("bucket") or inputs.get("name", "")] = properties
    for resource, inputs in parts:
        whole, key, part = PARTS[resource.kind]
        owner = named[whole, inputs.pop(key)]
        schema = _schema(f"AWS::{TYPES[whole][0]}")
        owner |= _properties(schema, {part: PREPARED.get(resource.kind, dict)(inputs)}, {}, str(resource))
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": found}


def patch_schemas() -> None:
    """Tell cfn-lint of the limits that AWS documents and its schemas lack; once is enough, twice does no harm."""
    for kind, limits in LIMITS.items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, f"AWS::{kind}").schema
        for name, limit in limits.items():
            schema["properties"][name] |= limit


def _schema(kind: str) -> dict[str, Any]:
    return PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema


def _logical(resource: Resource) -> str:
    return "".join(re.findall(r"[A-Za-z0-9]+", f"{resource.kind} {resource.name}".title()))


def _kept(resource: Resource) -> dict[str, str]:
    """What cfn-lint wants to be said of what holds data."""
    policy = "Retain" if resource.protected else "Delete"
    return {"DeletionPolicy": policy, "UpdateReplacePolicy": policy}


def _literal(value: Any) -> Any:
    """Documents as data, and ARNs as AWS writes them."""
    if isinstance(value, dict):
        return {key: _literal(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_literal(part) for part in value]
    return _ARN.sub(_arn, value) if isinstance(value, str) else value


def _arn(match: re.Match[str]) -> str:
    service, form = ARNS[match[1]]
    region = {"iam": "", "wafv2": "us-east-1"}.get(service, REGION)
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{form.format(match[2])}"


def _properties(schema: dict[str, Any], inputs: dict[str, Any], renamed: dict[str, str | None], where: str) -> Any:
    """The inputs of a resource, or of a part of one, under CloudFormation's names."""
    return dict(_each(schema, schema["properties"], inputs, renamed, where))


def _each(
    schema: dict[str, Any],
    there: dict[str, Any],
    inputs: dict[str, Any],
    renamed: dict[str, str | None],
    where: str,
) -> Iterator[tuple[str, Any]]:
    spelled = {name.lower(): name for name in there}
    for key, value in inputs.items():
        if renamed.get(key, key) is None:
            continue
        name = spelled.get((renamed.get(key) or key).lower())
        if name is None:
            raise LookupError(f"{where}: {key} is no property of {schema.get('typeName')}; add it to the table")
        yield name, _value(schema, there[name], value, name, where)


def _value(schema: dict[str, Any], described: dict[str, Any], value: Any, name: str, where: str) -> Any:
    described = _resolved(schema, described)
    if name == "Tags" and isinstance(value, dict):
        return [{"Key": key, "Value": text} for key, text in sorted(value.items())]
    if isinstance(value, str) and value.startswith("id of "):
        kind = next(prefix for property, prefix in IDS.items() if property in name)
        return f"{kind}-{sha256(value.encode()).hexdigest()[:17]}"
    if "items" in described:
        values = value if isinstance(value, list) else [value]
        return [_value(schema, described["items"], one, name, where) for one in values]
    if isinstance(value, list) and len(value) == 1 and described.get("type") == "object":
        [value] = value  # what Pulumi takes as a list of one
    if isinstance(value, dict) and "properties" in described:
        return dict(_each(schema, described["properties"], value, {}, f"{where}: {name}"))
    if isinstance(value, str) and described.get("type") == ["object", "string"] and value.startswith("{"):
        return json.loads(value)
    if isinstance(value, bool) and described.get("type") == "string":
        return {True: "ENABLED", False: "DISABLED"}[value]
    return value


def _resolved(schema: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in described:
        described = schema["definitions"][described["$ref"].rsplit("/", 1)[1]]
    return described
