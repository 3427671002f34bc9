"""Buckets: closed to the public, encrypted, versioned, reached by TLS alone, and cleaned of what nobody will read."""

import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import EDGE, FLOWS, LOGS, TRAIL, Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import Topology


def build(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups
) -> tuple[dict[str, aws.s3.Bucket], pulumi.Output[str]]:
    """Declare the topology's buckets and the one for logs; also gives the latter's name, once it can be written to."""
    wanted = (*(bucket.name for bucket in topology.buckets), LOGS)
    made = {name: _bucket(name, names, settings, groups) for name in wanted}
    return {name: bucket for name, (bucket, _) in made.items()}, made[LOGS][1].bucket


def policy(name: str, names: Names, *, audit: bool) -> list[dict[str, Any]]:
    """The statements of a bucket's policy; with `audit`, what is recorded may be written to the one for logs."""
    return list(_statements(name, names, audit=audit))


def _statements(name: str, names: Names, *, audit: bool) -> Iterator[dict[str, Any]]:
    arn = f"arn:aws:s3:::{names.bucket(name)}"
    yield {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    if name == LOGS:
        yield {
            "Sid": "LoadBalancersWrite",
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            # The account in the path is the guard: AWS writes an account's logs nowhere else.
            "Resource": f"{arn}/{EDGE}/AWSLogs/{names.account}/*",
        }
    if name == LOGS and audit:
        trail = {"aws:SourceArn": names.arn("cloudtrail", f"trail/{names.of(TRAIL)}")}
        yield from _writing(
            "AWSCloudTrail", "cloudtrail", arn, f"{TRAIL}/AWSLogs/{names.account}", {"StringEquals": trail}
        )
        of_account = {"StringEquals": {"aws:SourceAccount": names.account}}
        flows = of_account | {"ArnLike": {"aws:SourceArn": names.arn("logs", "*")}}
        yield from _writing("AWSLogDelivery", "delivery.logs", arn, f"{FLOWS}/AWSLogs/{names.account}", flows)


def _writing(sid: str, service: str, arn: str, path: str, condition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What AWS documents that a service asks of a bucket before it writes logs to it."""
    principal = {"Service": f"{service}.amazonaws.com"}
    allowed = {"Effect": "Allow", "Principal": principal}
    yield {"Sid": f"{sid}AclCheck", **allowed, "Action": "s3:GetBucketAcl", "Resource": arn, "Condition": condition}
    owned = condition["StringEquals"] | {"s3:x-amz-acl": "bucket-owner-full-control"}
    yield {
        "Sid": f"{sid}Write",
        **allowed,
        "Action": "s3:PutObject",
        "Resource": f"{arn}/{path}/*",
        "Condition": condition | {"StringEquals": owned},
    }


def _bucket(
    name: str, names: Names, settings: AwsSettings, groups: Groups
) -> tuple[aws.s3.Bucket, aws.s3.BucketPolicy]:
    opts = groups.within("Bucket", name)
    bucket = aws.s3.Bucket(
        name,
        bucket=names.bucket(name),
        force_destroy=not settings.protected,
        tags=names.tags(name),
        opts=groups.within("Bucket", name, protect=settings.protected),
    )
    aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    aws.s3.BucketOwnershipControls(name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=opts)
    aws.s3.BucketServerSideEncryptionConfiguration(name, bucket=bucket.id, rules=[_encryption(name)], opts=opts)
    versioning = aws.s3.BucketVersioning(
        name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=opts
    )
    aws.s3.BucketLifecycleConfiguration(
        name,
        bucket=bucket.id,
        rules=_lifecycle(name, settings),
        opts=groups.within("Bucket", name, depends_on=[versioning]),
    )
    guard = aws.s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=json.dumps(
            {"Version": "2012-10-17", "Statement": policy(name, names, audit=settings.environment.audit)}
        ),
        opts=opts,
    )
    return bucket, guard


def _encryption(name: str) -> Any:
    if name == LOGS:  # load balancers write by S3's own keys only
        return {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    return {"apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms"}, "bucket_key_enabled": True}


def _lifecycle(name: str, settings: AwsSettings) -> Any:
    rules: list[dict[str, Any]] = [
        {
            "id": "leftovers",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            "noncurrent_version_expiration": {"noncurrent_days": settings.environment.log_days},
        }
    ]
    if name == LOGS:
        old = {"status": "Enabled", "expiration": {"days": settings.environment.log_days}}
        written = {"old-logs": EDGE} | ({"old-trail": TRAIL, "old-flows": FLOWS} if settings.environment.audit else {})
        rules += [old | {"id": name, "filter": {"prefix": f"{prefix}/"}} for name, prefix in written.items()]
    return rules
