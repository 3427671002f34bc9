"""Who may call what on AWS: two roles a service, one to start it and one for what its code does, each exact."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.groups import Groups
from infra.spec import Service, Topology

Statement = dict[str, Any]
_TASKS = "ecs-tasks.amazonaws.com"
_READ = ("s3:GetObject",)
_WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


def allow(actions: Sequence[str], *resources: str, **conditions: Any) -> Statement:
    """A statement that allows actions on resources."""
    condition = {"Condition": conditions} if conditions else {}
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)} | condition


def document(statements: Sequence[Statement]) -> str:
    """A policy as the text that AWS takes."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, names: Names, source: str | None = None) -> str:
    """Who may take a role: one of AWS's services, for this account and, where given, for resources like `source`."""
    of_source = {"ArnLike": {"aws:SourceArn": source}} if source else {}
    return document(
        [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": service},
                "Condition": {"StringEquals": {"aws:SourceAccount": names.account}, **of_source},
            }
        ]
    )


def of_buckets(topology: Topology, service: Service, names: Names) -> list[Statement]:
    """What a service may do with its buckets: list and read, and write to those that people do not fill."""
    arns = {bucket: f"arn:aws:s3:::{names.bucket(bucket)}" for bucket in service.buckets}
    written = [arn for bucket, arn in arns.items() if not topology.bucket(bucket).filled_by_people]
    statements = []
    if arns:
        statements += [
            allow(("s3:ListBucket", "s3:GetBucketLocation"), *arns.values()),
            allow(_READ, *(f"{arn}/*" for arn in arns.values())),
        ]
    if written:
        statements += [
            allow(("s3:ListBucketMultipartUploads",), *written),
            allow(_WRITE, *(f"{arn}/*" for arn in written)),
        ]
    return statements


def to_start(repository: str, log_group: str, secrets: Sequence[str]) -> list[Statement]:
    """What ECS needs to start a service: its image, its log, its secrets."""
    log = log_group.removesuffix(":*")  # as some tell it
    statements = [
        allow(("ecr:GetAuthorizationToken",), "*"),  # it takes no resource
        allow(("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"), repository),
        allow(("logs:CreateLogStream", "logs:PutLogEvents"), f"{log}:*"),
    ]
    return [*statements, allow(("secretsmanager:GetSecretValue",), *secrets)] if secrets else statements


@dataclass(frozen=True)
class Held:
    """A role by its ARN, which is known once the role has its policy, so that whoever takes it may call at once."""

    arn: pulumi.Output[str]


def role(
    groups: Groups,
    owner: str,
    names: Names,
    name: str,
    *,
    assume: str,
    policy: pulumi.Input[str] | None,
    kind: str = "Service",
) -> Held:
    """A role with the one policy that it has, if any, in the group of the service, or of what else, that owns it."""
    opts = groups.within(kind, owner)
    made = aws.iam.Role(name, name=names.of(name), assume_role_policy=assume, tags=names.tags(name), opts=opts)
    if policy is None:
        return Held(made.arn)
    allowed = aws.iam.RolePolicy(name, name=names.of(name), role=made.name, policy=policy, opts=opts)
    return Held(pulumi.Output.all(made.arn, allowed.id).apply(lambda known: str(known[0])))


def execution_role(
    service: Service,
    names: Names,
    groups: Groups,
    *,
    repository: aws.ecr.Repository,
    log_group: aws.cloudwatch.LogGroup,
    secrets: Mapping[str, aws.secretsmanager.Secret],
) -> Held:
    """The role by which ECS starts a service."""
    known = pulumi.Output.all(
        repository=repository.arn,
        log_group=log_group.arn,
        secrets=pulumi.Output.all(*(secrets[name].arn for name in sorted(service.secrets))),
    )
    policy = known.apply(lambda arns: document(to_start(**arns)))
    # By the account and without a source. AWS publishes roles of this kind with the former condition and none with the
    # latter, and one that ECS did not fulfil would stop every start of a container.
    return role(groups, service.name, names, f"{service.name}-execution", assume=trust(_TASKS, names), policy=policy)


def task_role(
    topology: Topology, service: Service, names: Names, groups: Groups, database_secret: pulumi.Output[str]
) -> Held:
    """The role of what runs in a service. One without policy says that its code calls nothing."""
    statements = of_buckets(topology, service, names)
    if service.follows("work"):
        own_tasks = names.arn("ecs", f"task/{names.of('cluster')}/*")
        statements.append(allow(("ecs:GetTaskProtection", "ecs:UpdateTaskProtection"), own_tasks))
    tasks = names.arn("ecs", "*")  # AWS's guide has this source for the roles of tasks
    policy: pulumi.Input[str] | None = document(statements) if statements else None
    if service.databases:
        policy = database_secret.apply(
            lambda arn: document([*statements, allow(("secretsmanager:GetSecretValue",), arn)])
        )
    return role(groups, service.name, names, f"{service.name}-task", assume=trust(_TASKS, names, tasks), policy=policy)
