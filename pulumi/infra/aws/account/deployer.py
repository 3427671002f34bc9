"""What somebody needs who deploys a stack, instead of AdministratorAccess: `make policy STACK=aws`.

What changes something comes from AWS's own schemas of the declared resources, which name the permissions of each; what
only looks is allowed by service, because Pulumi looks at more than CloudFormation does. Services whose things have
names are allowed for the project's names alone, all others in the stack's region.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra.aws.names import Names

# CloudFormation's types of each kind: where AWS says which permissions it takes. A kind without one is in `_BY_HAND`.
TYPES: Mapping[str, tuple[str, ...]] = {
    "acm.Certificate": ("CertificateManager::Certificate",),
    "appautoscaling.Policy": ("ApplicationAutoScaling::ScalingPolicy",),
    "appautoscaling.Target": ("ApplicationAutoScaling::ScalableTarget",),
    "budgets.Budget": ("Budgets::Budget",),
    "cloudfront.Distribution": ("CloudFront::Distribution",),
    "cloudfront.VpcOrigin": ("CloudFront::VpcOrigin",),
    "cloudtrail.Trail": ("CloudTrail::Trail",),
    "cloudwatch.Dashboard": ("CloudWatch::Dashboard",),
    "cloudwatch.LogGroup": ("Logs::LogGroup",),
    "cloudwatch.LogMetricFilter": ("Logs::MetricFilter",),
    "cloudwatch.MetricAlarm": ("CloudWatch::Alarm",),
    "ec2.DefaultSecurityGroup": ("EC2::SecurityGroup",),
    "ec2.Eip": ("EC2::EIP",),
    "ec2.FlowLog": ("EC2::FlowLog",),
    "ec2.InternetGateway": ("EC2::InternetGateway", "EC2::VPCGatewayAttachment"),
    "ec2.NatGateway": ("EC2::NatGateway",),
    "ec2.Route": ("EC2::Route",),
    "ec2.RouteTable": ("EC2::RouteTable",),
    "ec2.RouteTableAssociation": ("EC2::SubnetRouteTableAssociation",),
    "ec2.SecurityGroup": ("EC2::SecurityGroup",),
    "ec2.Subnet": ("EC2::Subnet",),
    "ec2.Vpc": ("EC2::VPC",),
    "ec2.VpcEndpoint": ("EC2::VPCEndpoint",),
    "ecr.LifecyclePolicy": ("ECR::Repository",),
    "ecr.Repository": ("ECR::Repository",),
    "ecs.Cluster": ("ECS::Cluster",),
    "ecs.ClusterCapacityProviders": ("ECS::ClusterCapacityProviderAssociations",),
    "ecs.Service": ("ECS::Service",),
    "ecs.TaskDefinition": ("ECS::TaskDefinition",),
    "iam.Role": ("IAM::Role",),
    "iam.RolePolicy": ("IAM::RolePolicy",),
    "kms.Key": ("KMS::Key",),
    "lambda.Function": ("Lambda::Function",),
    "lb.Listener": ("ElasticLoadBalancingV2::Listener",),
    "lb.ListenerRule": ("ElasticLoadBalancingV2::ListenerRule",),
    "lb.LoadBalancer": ("ElasticLoadBalancingV2::LoadBalancer",),
    "lb.TargetGroup": ("ElasticLoadBalancingV2::TargetGroup",),
    "rds.Instance": ("RDS::DBInstance",),
    "rds.ParameterGroup": ("RDS::DBParameterGroup",),
    "rds.SubnetGroup": ("RDS::DBSubnetGroup",),
    "route53.Record": ("Route53::RecordSet",),
    "s3.Bucket": ("S3::Bucket",),
    "s3.BucketLifecycleConfiguration": ("S3::Bucket",),
    "s3.BucketOwnershipControls": ("S3::Bucket",),
    "s3.BucketPolicy": ("S3::BucketPolicy",),
    "s3.BucketPublicAccessBlock": ("S3::Bucket",),
    "s3.BucketServerSideEncryptionConfiguration": ("S3::Bucket",),
    "s3.BucketVersioning": ("S3::Bucket",),
    "sagemaker.NotebookInstance": ("SageMaker::NotebookInstance",),
    "sagemaker.NotebookInstanceLifecycleConfiguration": ("SageMaker::NotebookInstanceLifecycleConfig",),
    "scheduler.Schedule": ("Scheduler::Schedule",),
    "secretsmanager.Secret": ("SecretsManager::Secret",),
    "servicediscovery.PrivateDnsNamespace": ("ServiceDiscovery::PrivateDnsNamespace",),
    "servicediscovery.Service": ("ServiceDiscovery::Service",),
    "sns.Topic": ("SNS::Topic",),
    "sns.TopicSubscription": ("SNS::Subscription",),
    "vpc.SecurityGroupEgressRule": ("EC2::SecurityGroupEgress",),
    "vpc.SecurityGroupIngressRule": ("EC2::SecurityGroupIngress",),
    "wafv2.IpSet": ("WAFv2::IPSet",),
    "wafv2.WebAcl": ("WAFv2::WebACL",),
}
# What no schema says of a kind, from the Service Authorization Reference.
BY_HAND: Mapping[str, tuple[str, ...]] = {
    "acm.Certificate": ("acm:ImportCertificate",),
    "acm.CertificateValidation": (),  # it only looks
    "docker.Image": (
        *("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload"),
        *("ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart", "ecr:BatchDeleteImage"),
    ),
    "ec2.FlowLog": ("logs:CreateLogDelivery", "logs:DeleteLogDelivery"),
    "s3.Bucket": ("s3:DeleteObject", "s3:DeleteObjectVersion"),  # a bucket is emptied before it goes
    "s3.BucketObjectv2": ("s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"),
    "secretsmanager.SecretVersion": ("secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"),
    "servicediscovery.PrivateDnsNamespace": (
        *("route53:CreateHostedZone", "route53:DeleteHostedZone", "route53:ChangeResourceRecordSets"),
        *("ec2:DescribeRegions", "ec2:DescribeVpcs"),
    ),
    "servicediscovery.Service": ("servicediscovery:DeregisterInstance",),
    # By this the provider changes a rule where it stands; CloudFormation makes another one.
    "vpc.SecurityGroupEgressRule": ("ec2:ModifySecurityGroupRules",),
    "vpc.SecurityGroupIngressRule": ("ec2:ModifySecurityGroupRules",),
}
# What the project's own commands call beside Pulumi: doctor, upload, logs, run-task, the notebook's address, sleep,
# backup.
COMMANDS = (
    *("servicequotas:GetServiceQuota", "freetier:GetAccountPlanState", "budgets:ViewBudget", "ecs:RunTask"),
    *("s3:PutObject", "s3:AbortMultipartUpload", "logs:FilterLogEvents", "logs:StartLiveTail", "tag:GetResources"),
    *("sagemaker:CreatePresignedNotebookInstanceUrl", "sagemaker:StartNotebookInstance"),
    *("rds:StopDBInstance", "rds:StartDBInstance", "ecs:UpdateService", "cloudwatch:DisableAlarmActions"),
    *("cloudwatch:EnableAlarmActions", "secretsmanager:RotateSecret", "rds:CreateDBSnapshot"),
)
_LOOKING = ("Describe", "Get", "List")
# Each is a way to become somebody else, or to make what is not the stack's.
_NEVER = {"iam:AttachRolePolicy", "iam:DetachRolePolicy", "ecs:PutAccountSetting", "ecs:PutAccountSettingDefault"}
_BY_ROLE = ("iam:PassRole", "iam:CreateServiceLinkedRole")
_PASSED_TO = (
    *("ecs-tasks.amazonaws.com", "lambda.amazonaws.com", "sagemaker.amazonaws.com", "scheduler.amazonaws.com"),
)
# Services that know no region, or are asked in one for all.
_GLOBAL = {"budgets", "cloudfront", "freetier", "iam", "route53", "s3", "wafv2"}
# Services where to look is to read what people keep there.
_WITH_CONTENT = {"s3", "secretsmanager"}
MOST_CHARACTERS = 6144  # of a managed policy, white space not counted


def statements(kinds: Iterable[str], names: Names) -> list[dict[str, Any]]:
    """What a policy for the declared kinds of resources says; LookupError where nothing is known of a kind."""
    actions = sorted(needed(kinds) | set(COMMANDS))
    by_service: dict[str, list[str]] = {}
    for action in actions:
        by_service.setdefault(action.split(":")[0], []).append(action)
    found = list(_looking(by_service, names))
    for service, listed in by_service.items():
        changing = [action for action in listed if not _looks(action) and action not in _BY_ROLE]
        own = _of_the_project(service, names)
        found.append(_allow(changing, own or ["*"], {} if own else _limits(service, names)))
    return [one for one in [*found, *_roles(names)] if one["Action"]]


def needed(kinds: Iterable[str]) -> set[str]:
    """Every action of the declared kinds' own services that creating, reading, changing and deleting them may take.

    An action that AWS's list of all does not have is left out: some schemas name what no policy can say. So are those
    of services that the stack has nothing of, such as replicas and tables, and those that `_NEVER` names.
    """
    by_kind = {kind: permissions(kind) for kind in sorted(set(kinds))}
    services = {_service_of(kind) for kind in by_kind} | {"iam", "route53"}
    return {
        action
        for found in by_kind.values()
        for action in found
        if action.split(":")[0] in services and _is_known(action) and action not in _NEVER
    }


def permissions(kind: str) -> set[str]:
    """The actions that AWS names for a kind of resource; LookupError where it is in neither table."""
    if kind not in TYPES and kind not in BY_HAND:
        raise LookupError(
            f"Nothing says which actions {kind} takes; add it to the tables in infra/aws/account/deployer.py."
        )
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # noqa: PLC0415  heavy

    found = set(BY_HAND.get(kind, ()))
    for name in TYPES.get(kind, ()):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", f"AWS::{name}").schema
        found |= set((schema.get("tagging") or {}).get("permissions", ()))
        for handler in schema["handlers"].values():
            found |= set(handler["permissions"])
    # Some schemas write a service in capitals, which no policy does.
    return {f"{service.lower()}:{action}" for service, action in (one.split(":", 1) for one in found)}


def documents(found: Sequence[dict[str, Any]]) -> list[str]:
    """The statements as policies that AWS takes, in as many as their length asks for."""
    packed: list[list[dict[str, Any]]] = [[]]
    for statement in found:
        if len(_document([*packed[-1], statement])) > MOST_CHARACTERS:
            packed.append([])
        packed[-1].append(statement)
    return [_document(statements) for statements in packed]


def _document(found: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(found)}, separators=(",", ":"))


@functools.cache
def _known() -> Mapping[str, Any]:
    """Every action that a policy can name, by service and in small letters."""
    from cfnlint.data import AdditionalSpecs  # noqa: PLC0415  heavy
    from cfnlint.helpers import load_resource  # noqa: PLC0415

    listed = load_resource(AdditionalSpecs, "Policies.json")
    return {service: entry["Actions"] for service, entry in listed.items()}


def _is_known(action: str) -> bool:
    service, _, name = action.partition(":")
    return name.lower() in _known().get(service, {})


def _service_of(kind: str) -> str:
    """The prefix of a kind's actions."""
    module = kind.partition(".")[0]
    return {
        "appautoscaling": "application-autoscaling",
        "docker": "ecr",
        "lb": "elasticloadbalancing",
        "vpc": "ec2",
        "cloudwatch": "logs" if "Log" in kind else "cloudwatch",
    }.get(module, module)


def _looks(action: str) -> bool:
    return action.split(":")[1].startswith(_LOOKING)


def _of_the_project(service: str, names: Names) -> list[str]:
    """The resources of a service that the stack may have, where their names say so; none where they do not."""
    here = f"{names.region}:*"
    return {
        "iam": [f"arn:aws:iam::*:role/{names.of('*')}"],
        "s3": [f"arn:aws:s3:::{names.of('*')}"],
        # The second is the secret in which RDS keeps the database's password.
        "secretsmanager": [
            f"arn:aws:secretsmanager:{here}:secret:{names.secret('*')}",
            f"arn:aws:secretsmanager:{here}:secret:rds!db-*",
        ],
        "cloudtrail": [f"arn:aws:cloudtrail:{here}:trail/{names.of('*')}"],
        "lambda": [f"arn:aws:lambda:{here}:function:{names.of('*')}"],
        "scheduler": [f"arn:aws:scheduler:{here}:schedule/default/{names.of('*')}"],
        "sns": [f"arn:aws:sns:{here}:{names.of('*')}"],
        "sagemaker": [f"arn:aws:sagemaker:{here}:notebook-instance*/{names.of('*')}"],
        "wafv2": [f"arn:aws:wafv2:us-east-1:*:global/*/{names.of('*')}"],
    }.get(service, [])


def _looking(services: Iterable[str], names: Names) -> Iterator[dict[str, Any]]:
    """What only looks, all of it, because nothing of it is worth its names; the content of buckets and secrets is."""
    here: list[str] = []
    everywhere: list[str] = []
    for service in services:
        words = [
            f"{service}:{word}*" for word in _LOOKING if any(one.startswith(word.lower()) for one in _known()[service])
        ]
        if service in _WITH_CONTENT:
            yield _allow(words, _of_the_project(service, names))
            words = [f"{service}:List*"]
        (everywhere if service in _GLOBAL else here).extend(words)
    yield _allow(here, ["*"], _limits("", names))
    yield _allow(everywhere, ["*"])


def _limits(service: str, names: Names) -> dict[str, Any]:
    return {} if service in _GLOBAL else {"StringEquals": {"aws:RequestedRegion": names.region}}


def _roles(names: Names) -> Iterator[dict[str, Any]]:
    """Roles are handed to what runs, and AWS makes its own for services that an account uses for the first time."""
    own = [f"arn:aws:iam::*:role/{names.of('*')}"]
    yield _allow(["iam:PassRole"], own, {"StringEquals": {"iam:PassedToService": list(_PASSED_TO)}})
    yield _allow(["iam:CreateServiceLinkedRole"], ["arn:aws:iam::*:role/aws-service-role/*"])
    # By this `make doctor` asks whether the policy is there and enough.
    yield _allow(["iam:SimulatePrincipalPolicy"], ["arn:aws:iam::*:user/*", "arn:aws:iam::*:role/*"])


def _allow(
    actions: Sequence[str], resources: Sequence[str], condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    made = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return made | ({"Condition": dict(condition)} if condition else {})
