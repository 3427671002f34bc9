"""The stack's own key, where AWS's own cannot serve: for messages that CloudWatch sends, and the notebook's disk."""

import json
from typing import Any

import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups

_DAYS_TO_REGRET = {True: 30, False: 7}  # the shortest that AWS takes


def build(names: Names, settings: AwsSettings, groups: Groups, *, others: list[dict[str, Any]]) -> aws.kms.Key:
    """Declare the key: it is renewed every year, and used by this account and as the statements of `others` say."""
    account = {
        "Sid": "TheAccountDecides",  # without it nobody could ever change the key again
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{names.account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return aws.kms.Key(
        "key",
        description=f"{names.project}: alarms and the notebook's disk",
        enable_key_rotation=True,
        deletion_window_in_days=_DAYS_TO_REGRET[settings.environment.careful],
        policy=json.dumps({"Version": "2012-10-17", "Statement": [account, *others]}),
        tags=names.tags("key"),
        opts=groups.within("Monitoring", "monitoring"),
    )
