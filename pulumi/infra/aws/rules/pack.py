"""The rules as a policy pack, which Pulumi's engine asks in `pulumi preview` and `pulumi up`.

The engine tells the pack of each resource what it is about to ask for, and then of all of them what is known: a first
preview knows no id, and so nothing of a policy or a container in which one stands. What the engine does not know comes
from a run of the same program with the same settings against answers that are made up. So every rule judges the whole
graph before anything is created, and what the engine does know counts.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
from pulumi_policy import (
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.aws.graph import Asked, Graph, kind_of, parsed
from infra.aws.imagined import ACCOUNT, graph_of, own_name
from infra.aws.rules.common import Rule
from infra.aws.rules.every import RULES
from infra.inputs import Hidden, plain
from infra.secrets import setting
from infra.stack import described
from infra.topology import on_aws, topology

# What only AWS gives, and no other value can be mistaken for; the ids of most kinds are names that people chose.
_GIVEN = re.compile(
    r"(vpc|subnet|sg|rtb|igw|nat|eipalloc|vpce|ns|srv)-\w+|vo_\w+|arn:aws[a-z-]*:.+|\w+\.cloudfront\.net"
)
_PROJECT = "hm-mlflow:"
# Groups, the stack itself and providers: nothing is asked for by them.
_NOT_ASKED = (_PROJECT, "pulumi:")
_SHORT = 8  # characters; a shorter secret may stand in a text by chance


class _UnknownType:
    """Stands where the engine does not know a value yet."""


_UNKNOWN = _UnknownType()


def policies() -> list[Policy]:
    """A policy for each rule, and one that takes down what is asked for; none breaks outside AWS."""
    asked = _Recorded()
    return [
        ResourceValidationPolicy(
            name="what-is-asked-for",
            description="Takes down each resource's inputs, which the rules judge together.",
            validate=asked.take,
        ),
        *(
            StackValidationPolicy(
                name=name.replace("_", "-"), description=f"{rule.__doc__}", validate=_validation(rule, asked)
            )
            for name, rule in RULES.items()
        ),
    ]


def _validation(rule: Rule, asked: "_Recorded") -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(stack: StackValidationArgs, report: ReportViolation) -> None:
        graph = asked.graph(stack)
        for line in rule(graph) if graph else ():
            report(line, None)

    return validate


class _Recorded:
    """The inputs of each resource by URN, as the engine tells of them one by one, and the imagined graph beside."""

    def __init__(self) -> None:
        self._inputs: dict[str, dict[str, Any]] = {}
        self._imagined: Graph | None = None
        self._secrets: dict[str, str] = {}
        stack = os.environ.get("PULUMI_STACK", pulumi.get_stack())
        if on_aws(stack):
            config = {name.removeprefix(_PROJECT): value for name, value in pulumi.runtime.get_config_env().items()}
            self._imagined = graph_of(stack, described() | config)
            secrets = (*topology(login=True, keys=True, signing=True, trusted=True).secrets, "tls-key")
            self._secrets = {
                value: f"value of {name}" for name in secrets if len(value := config.get(setting(name), "")) > _SHORT
            }

    def take(self, resource: ResourceValidationArgs, _: ReportViolation) -> None:
        self._inputs[resource.urn] = _known(resource.props)

    def graph(self, stack: StackValidationArgs) -> Graph | None:
        """All that is asked for; None for a stack that is not on AWS."""
        if self._imagined is None:
            return None
        names = dict(_given(stack))
        known = {
            (kind_of(one.resource_type), one.name): (self._inputs[one.urn], one.opts.protect)
            for one in stack.resources
            if one.urn in self._inputs and not one.resource_type.startswith(_NOT_ASKED)
        }
        account = _account(known) or ACCOUNT
        imagined = {(one.kind, one.name): one for one in self._imagined.resources}
        found = []
        for (kind, name), (inputs, protected) in known.items():
            like = imagined.get((kind, name))
            whole = _filled(
                _renamed(parsed(inputs), names, self._secrets), _of_account(like.inputs, account) if like else {}
            )
            found.append(Asked(kind, name, whole, protected=protected))
        return replace(self._imagined, resources=tuple(found), names=replace(self._imagined.names, account=account))


def _known(value: Any) -> Any:
    """The same without the engine's guards, which raise an error where a value is not known."""
    if isinstance(value, Mapping):
        return {key: _part(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_part(value, place) for place in range(len(value))]
    return plain(value)


def _part(whole: Any, key: Any) -> Any:
    try:
        return _known(whole[key])
    except UnknownValueError:
        return _UNKNOWN


def _given(stack: StackValidationArgs) -> Iterator[tuple[str, str]]:
    """What AWS gave each resource, with the words that stand for it in a graph."""
    for one in stack.resources:
        if one.resource_type.startswith(_NOT_ASKED):
            continue
        outputs, kind = _known(one.props), kind_of(one.resource_type)
        words_of = {"id": f"id of {one.name}", "arn": f"arn of {kind} {one.name}", "domainName": own_name(one.name)}
        for key, words in words_of.items():
            if isinstance(outputs.get(key), str) and _GIVEN.fullmatch(outputs[key]):
                yield outputs[key], words


def _renamed(value: Any, names: Mapping[str, str], secrets: Mapping[str, str]) -> Any:
    """The same with words for what AWS gave, and for secrets wherever they stand in a text."""
    if isinstance(value, dict):
        return {key: _renamed(part, names, secrets) for key, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part, names, secrets) for part in value]
    if not isinstance(value, str):
        return value
    for secret, words in secrets.items():
        value = value.replace(secret, words)
    if value in names:
        return names[value]
    thing, part, rest = value.partition(":::")  # a secret's ARN with its version behind it
    return f"{names[thing]}{part}{rest}" if thing in names else value


def _filled(known: Any, imagined: Any) -> Any:
    """What the engine knows; where it knows nothing, what the imagined run says."""
    if known is _UNKNOWN:
        return imagined
    if isinstance(imagined, Hidden):
        return Hidden(_filled(known, imagined.value))  # the engine shows secrets as they are
    if isinstance(known, dict):
        among = imagined if isinstance(imagined, dict) else {}
        return {key: _filled(part, among.get(key)) for key, part in known.items()}
    if isinstance(known, list):
        beside = imagined if isinstance(imagined, list) and len(imagined) == len(known) else [None] * len(known)
        return [_filled(part, like) for part, like in zip(known, beside, strict=True)]
    return known


def _account(known: Mapping[tuple[str, str], tuple[dict[str, Any], bool]]) -> str | None:
    """The account, which stands in the name of each bucket."""
    inputs, _ = known.get(("s3.Bucket", "data"), ({}, False))
    found = re.search(r"-(\d{12})-", str(inputs.get("bucket")))
    return found[1] if found else None


def _of_account(value: Any, account: str) -> Any:
    if isinstance(value, dict):
        return {key: _of_account(part, account) for key, part in value.items()}
    if isinstance(value, list):
        return [_of_account(part, account) for part in value]
    if isinstance(value, Hidden):
        return Hidden(_of_account(value.value, account))
    return value.replace(ACCOUNT, account) if isinstance(value, str) else value
