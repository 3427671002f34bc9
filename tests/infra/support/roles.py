"""A process with the keys of one of the stack's roles, against a simulated AWS that keeps what it was asked."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest

from tests.infra.support.calls import RecordingAws, recording_aws
from tests.infra.support.graph import ACCOUNT, REGION

BUCKETS = {name: f"hm-mlflow-{name}-{ACCOUNT}-{REGION}" for name in ("data", "artefacts", "state")}
# The stack's own services, by themselves, have no keys; this is who prepares what they find.
PERSON = "a-person"


@contextmanager
def as_role(name: str, aws: RecordingAws, **variables: str) -> Iterator[None]:
    """This process, and what it starts meanwhile, with the keys of a role."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it would keep the keys of whoever asked first
        for left in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
            patch.delenv(left, raising=False)
        found = {
            "AWS_ENDPOINT_URL": aws.address,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": name,
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            **variables,
        }
        for variable, value in found.items():
            patch.setenv(variable, value)
        yield


@contextmanager
def aws_with_buckets() -> Iterator[RecordingAws]:
    """A simulated AWS with the stack's buckets, empty."""
    with recording_aws() as aws:
        with as_role(PERSON, aws):
            for bucket in BUCKETS.values():
                place = {"LocationConstraint": REGION}
                boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        yield aws
