"""Secrets Manager: what `make stack` made, encrypted in the stack's state, each as a secret of its own."""

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.settings import read_secret
from infra.spec import Topology

_DAYS_TO_REGRET = 30


def build(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups
) -> tuple[dict[str, aws.secretsmanager.Secret], dict[str, pulumi.Output[str]]]:
    """Declare the secrets of a lowered topology, by their names in it; gives them, and what ECS takes for each."""
    made = {name: _secret(name, names, settings, groups) for name in topology.secrets}
    return {name: secret for name, (secret, _) in made.items()}, {name: found for name, (_, found) in made.items()}


def _secret(
    name: str, names: Names, settings: AwsSettings, groups: Groups
) -> tuple[aws.secretsmanager.Secret, pulumi.Output[str]]:
    opts = groups.within("Secrets", "secrets")
    secret = aws.secretsmanager.Secret(
        name,
        name=names.secret(name),
        description=f"{names.project}: {name}",
        # Without a wait, so that a stack that was taken down can be brought up again at once.
        recovery_window_in_days=_DAYS_TO_REGRET if settings.protected else 0,
        tags=names.tags(name),
        opts=opts,
    )
    version = aws.secretsmanager.SecretVersion(name, secret_id=secret.id, secret_string=read_secret(name), opts=opts)
    # ARN:JSON-KEY:VERSION-STAGE:VERSION-ID; a task that was started before keeps its version, which AWS keeps as well.
    return secret, pulumi.Output.concat(secret.arn, ":::", version.version_id)
