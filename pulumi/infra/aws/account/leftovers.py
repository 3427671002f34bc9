"""Names that an earlier stack left behind, on which a first `make up` would fail in its middle."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import Any

from infra.aws.graph import Graph
from infra.aws.imagined import ACCOUNT
from infra.findings import Finding

_FREE = {
    *("404", "NoSuchBucket", "RepositoryNotFoundException", "ResourceNotFoundException", "NoSuchEntity"),
    *("LoadBalancerNotFound", "DBSubnetGroupNotFoundFault", "DBParameterGroupNotFound"),
}
Regional = Callable[[str], Any]


@dataclass(frozen=True)
class _Look:
    """How a name is looked for, and what removes it. `ask` gives something false where nothing has the name."""

    key: str
    service: str
    ask: Callable[[Any, str], Any]
    remedy: str


# It keeps versions, which `aws s3 rb --force` leaves, and then refuses.
_EMPTY = (
    """.venv/bin/python -c "import boto3; b = boto3.resource('s3').Bucket('{}'); """
    """b.object_versions.delete(); b.delete()\""""
)
_LOOKS = {
    "s3.Bucket": _Look("bucket", "s3", lambda s3, name: s3.head_bucket(Bucket=name), _EMPTY),
    "ecr.Repository": _Look(
        "name",
        "ecr",
        lambda ecr, name: ecr.describe_repositories(repositoryNames=[name]),
        "aws ecr delete-repository --force --repository-name {}",
    ),
    "secretsmanager.Secret": _Look(
        "name",
        "secretsmanager",
        lambda secrets, name: secrets.describe_secret(SecretId=name),
        "aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {}",
    ),
    "cloudwatch.LogGroup": _Look(
        "name",
        "logs",
        lambda logs, name: [
            one for one in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] if one["logGroupName"] == name
        ],
        "aws logs delete-log-group --log-group-name {}",
    ),
    "iam.Role": _Look(
        "name",
        "iam",
        lambda iam, name: iam.get_role(RoleName=name),
        "aws iam delete-role-policy --role-name {0} --policy-name {0}; aws iam delete-role --role-name {0}",
    ),
    "lb.LoadBalancer": _Look(
        "name",
        "elbv2",
        lambda elb, name: elb.describe_load_balancers(Names=[name])["LoadBalancers"],
        "aws elbv2 delete-load-balancer --load-balancer-arn $(aws elbv2 describe-load-balancers --names {} "
        "--query 'LoadBalancers[0].LoadBalancerArn' --output text)",
    ),
    "rds.SubnetGroup": _Look(
        "name",
        "rds",
        lambda rds, name: rds.describe_db_subnet_groups(DBSubnetGroupName=name)["DBSubnetGroups"],
        "aws rds delete-db-subnet-group --db-subnet-group-name {}",
    ),
    "rds.ParameterGroup": _Look(
        "name",
        "rds",
        lambda rds, name: rds.describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"],
        "aws rds delete-db-parameter-group --db-parameter-group-name {}",
    ),
}


def leftovers(
    graph: Graph, clients: Regional, account: str, made: Set[tuple[str, str]] = frozenset()
) -> Iterator[Finding]:
    """A finding for each name of the stack that something else has already.

    `made` are kind and name of what the stack itself has made, in a `make up` that was interrupted.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415  heavy

    for one in graph.resources:
        if (one.kind, one.name) in made:
            continue
        look = _LOOKS.get(one.kind)
        name = one.inputs.get(look.key) if look else None
        if not look or not isinstance(name, str) or "id of" in name:
            continue
        name = name.replace(ACCOUNT, account)
        try:
            taken = look.ask(clients(look.service), name)
        except ClientError as error:
            if error.response["Error"]["Code"] in _FREE:
                continue
            if one.kind != "s3.Bucket" or error.response["Error"]["Code"] != "403":
                raise
            taken = True  # it belongs to somebody who does not let us look
        if taken:
            region = "" if look.service in ("iam", "s3") else f" --region {graph.names.region}"
            yield Finding(
                what=f"{name} is there already, from an earlier stack or somebody else's: {one.kind}.",
                remedy=f"look whether it holds anything that you need, then: {look.remedy.format(name)}{region}",
            )
