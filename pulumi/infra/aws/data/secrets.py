"""Secrets Manager: what `make stack` made, encrypted in the stack's state, each as a secret of its own."""

import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.settings import read_secret
from infra.spec import Topology

_DAYS_TO_REGRET = 30


def build(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups
) -> dict[str, aws.secretsmanager.Secret]:
    """Declare the secrets of a lowered topology, by their names in it."""
    return {name: _secret(name, names, settings, groups) for name in topology.secrets}


def _secret(name: str, names: Names, settings: AwsSettings, groups: Groups) -> aws.secretsmanager.Secret:
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
    aws.secretsmanager.SecretVersion(name, secret_id=secret.id, secret_string=read_secret(name), opts=opts)
    return secret
