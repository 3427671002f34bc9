"""Whether the credentials may do what deploying a stack takes, asked of IAM's own simulation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.findings import Finding

_SHOWN = 5


def lacking(caller: Mapping[str, Any], statements: Sequence[Mapping[str, Any]], iam: Any) -> list[str]:
    """The actions of the statements that IAM would refuse the caller; none for the account's root user."""
    source = _principal(caller["Arn"], iam)
    if source is None:
        return []
    found: list[str] = []
    for statement in statements:
        actions = [action for action in statement["Action"] if "*" not in action]
        if not actions:
            continue
        wanted = [
            {
                "ContextKeyName": key,
                "ContextKeyValues": value if isinstance(value, list) else [value],
                "ContextKeyType": "string",
            }
            for key, value in statement.get("Condition", {}).get("StringEquals", {}).items()
        ]
        asked = {
            "PolicySourceArn": source,
            "ActionNames": actions,
            "ResourceArns": [_an_example(resource, caller["Account"]) for resource in statement["Resource"][:1]],
            "ContextEntries": wanted,
        }
        for page in iam.get_paginator("simulate_principal_policy").paginate(**asked):
            found += [one["EvalActionName"] for one in page["EvaluationResults"] if one["EvalDecision"] != "allowed"]
    return sorted(set(found))


def permits(
    stack: str, caller: Mapping[str, Any], statements: Sequence[Mapping[str, Any]], iam: Any
) -> Iterator[Finding]:
    """A finding where deploying would be refused in its middle."""
    refused = lacking(caller, statements, iam)
    if refused:
        more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        yield Finding(
            what=f"{caller['Arn']} may not do {', '.join(refused[:_SHOWN])}{more}.",
            remedy=f"make policy STACK={stack}, which writes what is needed and says how it is given",
        )


def _principal(arn: str, iam: Any) -> str | None:
    """The user or role that IAM knows; None for the root user, who may do everything and is not simulated."""
    if arn.endswith(":root"):
        return None
    if ":assumed-role/" in arn:
        # A session does not say the role's path, which one of IAM Identity Center (`aws sso login`) has.
        name = arn.partition(":assumed-role/")[2].split("/")[0]
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])
    return arn


def _an_example(pattern: str, account: str) -> str:
    """A resource that a pattern means: IAM simulates no patterns, but takes `*` for any resource."""
    return pattern if pattern == "*" else pattern.replace(":*:", f":{account}:", 1).replace("*", "x")
