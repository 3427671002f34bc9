"""The SageMaker notebook instance: in the VPC, without root or a way to the internet of its own, stopped when idle.

At each start a small lifecycle script fetches the project from the state bucket and hands over to
`notebooks/sagemaker/start` in it. No secret is in the script: the instance fetches them into memory, by its role.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.compute.iam import allow, document, role, trust
from infra.aws.compute.project import archive
from infra.aws.lower import NOTEBOOK
from infra.aws.names import Names
from infra.aws.parts import Network, Stores
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import Ref, Service

NAME = "notebook"
IDLE_MINUTES = 60
_MOST_CHARACTERS = 16_384  # of the script as SageMaker takes it, in base64
_DATA, _STATE = "data", "state"
# What the topology gives a Jupyter in a container and an instance has otherwise: its own login, and its own disk for
# what somebody tries without the cluster.
_NOT_HERE = ("JUPYTER_TOKEN_FROM_FILE", "STATE_URI")


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the lifecycle script says: where the project is, its profile, and each secret's file and id."""

    instance: str
    region: str
    object_uri: str
    profile: Mapping[str, str]
    secrets: Mapping[str, str]


def build(
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    *,
    network: Network,
    stores: Stores,
    service: Service,
    key: pulumi.Input[str] | None = None,
) -> aws.sagemaker.NotebookInstance:
    """Declare the instance, its role, its script and the project that it fetches.

    `service` is the topology's `jupyter` as it is lowered; `key` is the ARN of the KMS key for its disk.
    The names in the profile resolve by themselves, because the zone that has them is the VPC's.
    """
    content, opts = archive(), groups.within("Service", service.name)
    path = f"{NAME}/{sha256(content).hexdigest()[:16]}.zip"
    project = aws.s3.BucketObjectv2(
        "notebook-project",
        bucket=stores.buckets[_STATE].bucket,
        key=path,
        content_base64=base64.b64encode(content).decode(),
        tags=names.tags("notebook-project"),
        opts=opts,
    )
    start = Start(
        instance=names.of(NAME),
        region=names.region,
        object_uri=f"s3://{names.bucket(_STATE)}/{path}",
        profile=profile(service),
        secrets={file: names.secret(secret) for secret, file in service.secrets.items()},
    )
    script = aws.sagemaker.NotebookInstanceLifecycleConfiguration(
        NAME, name=names.of(NAME), on_start=encoded(lifecycle_script(start)), tags=names.tags(NAME), opts=opts
    )
    policy = pulumi.Output.all(*(stores.secrets[secret].arn for secret in service.secrets)).apply(
        lambda arns: document(statements(names, path, arns))
    )
    trusted = trust("sagemaker.amazonaws.com", names, names.arn("sagemaker", "*"))
    held = role(groups, service.name, names, NAME, assume=trusted, policy=policy)
    return aws.sagemaker.NotebookInstance(
        NAME,
        **instance(names, settings),
        role_arn=held.arn,
        subnet_id=network.private_subnets[0].id,
        security_groups=[network.groups[NOTEBOOK].id],
        kms_key_id=key,
        lifecycle_config_name=script.name,
        # Another way out would be another instance, without what people keep on its disk.
        opts=groups.within(
            "Service",
            service.name,
            depends_on=[project, *network.ways],
            ignore_changes=["directInternetAccess"],
        ),
    )


def instance(names: Names, settings: AwsSettings) -> dict[str, Any]:
    """Arguments of the instance that are known before it is made."""
    return {
        "name": names.of(NAME),
        "instance_type": settings.environment.notebook_type,
        "volume_size": settings.environment.notebook_gib,
        "platform_identifier": "notebook-al2023-v1",
        # Without a NAT gateway SageMaker's own network leads it to the internet, for packages and AWS.
        "direct_internet_access": "Enabled" if settings.egress == "public" else "Disabled",
        "root_access": "Disabled",
        "instance_metadata_service_configuration": {"minimum_instance_metadata_service_version": "2"},
        "tags": names.tags(NAME),
    }


def profile(service: Service) -> dict[str, str]:
    """The settings of a notebook that trains on the cluster; `NAME_FROM_FILE` names a secret's file.

    An address of CloudFront's, which is still a reference, is left out: otherwise the instance would be behind the
    distributions, and go with what people keep on its disk where they have to go.
    """
    values = {
        name: value
        for name, value in service.environment.items()
        if name not in _NOT_HERE and not isinstance(value, Ref)
    }
    tracking = {"MLFLOW_TRACKING_URI_CLOUD": values.pop("MLFLOW_TRACKING_URI")}
    return {"EXECUTION_ENVIRONMENT": "cloud"} | tracking | values


def statements(names: Names, path: str, secret_arns: list[str]) -> list[dict[str, Any]]:
    """What the instance may do: read the X-rays, the project and its secrets, write its log, stop itself."""
    data, state = (f"arn:aws:s3:::{names.bucket(bucket)}" for bucket in (_DATA, _STATE))
    log = names.arn("logs", "log-group:/aws/sagemaker/NotebookInstances")
    found = [
        allow(("s3:ListBucket", "s3:GetBucketLocation"), data),
        allow(("s3:GetObject",), f"{data}/*", f"{state}/{path}"),
        allow(("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"), log, f"{log}:*"),
        allow(("sagemaker:StopNotebookInstance",), names.arn("sagemaker", f"notebook-instance/{names.of(NAME)}")),
    ]
    return [*found, allow(("secretsmanager:GetSecretValue",), *secret_arns)] if secret_arns else found


def lifecycle_script(start: Start) -> str:
    """What SageMaker runs as root at each start, before Jupyter."""
    lines = [
        "#!/bin/bash",
        "# From pulumi/infra/aws/compute/notebook.py: fetches the project and runs its notebooks/sagemaker/start.",
        "set -euo pipefail",
        f"export AWS_DEFAULT_REGION={start.region} NOTEBOOK={start.instance} IDLE_MINUTES={IDLE_MINUTES}",
        "code=${ROOT:-}/opt/hm-mlflow",
        'rm -rf "$code"',
        'mkdir -p "$code"',
        f'aws s3 cp --only-show-errors {start.object_uri} "$code/project.zip"',
        'python3 -m zipfile -e "$code/project.zip" "$code"',
        'rm "$code/project.zip"',
        "cat >\"$code/profile.list\" <<'PROFILE'",
        *(f"{name}={value}" for name, value in start.profile.items()),
        "PROFILE",
        "cat >\"$code/secrets.list\" <<'SECRETS'",
        *(f"{file} {secret}" for file, secret in start.secrets.items()),
        "SECRETS",
        'bash "$code/notebooks/sagemaker/start"',
    ]
    return "\n".join(lines) + "\n"


def encoded(script: str) -> str:
    """The script as SageMaker takes it; ValueError where it takes no script so long."""
    text = base64.b64encode(script.encode()).decode()
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(
            f"the lifecycle script has {len(text):,} characters in base64 and SageMaker takes {_MOST_CHARACTERS:,}; "
            "move what it does into notebooks/sagemaker/"
        )
    return text
