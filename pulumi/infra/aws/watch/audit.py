"""What happened, for whoever has to answer for it: who read the X-rays, and who connected to whom; in prod."""

import pulumi
import pulumi_aws as aws

from infra.aws.names import FLOWS, TRAIL, Names
from infra.aws.parts import Network
from infra.aws.settings import AwsSettings
from infra.groups import Groups

_FILLED_BY_PEOPLE = "data"


def build(names: Names, settings: AwsSettings, groups: Groups, *, network: Network, logs: pulumi.Output[str]) -> None:
    """Declare flow logs and the trail; `logs` is the name of the bucket for both, once its policy lets them write."""
    if not settings.environment.audit:
        return
    opts = groups.within("Monitoring", "monitoring")
    aws.ec2.FlowLog(
        FLOWS,
        vpc_id=network.vpc.id,
        traffic_type="ALL",
        log_destination_type="s3",
        log_destination=logs.apply(lambda bucket: f"arn:aws:s3:::{bucket}/{FLOWS}/"),
        tags=names.tags(FLOWS),
        opts=opts,
    )
    aws.cloudtrail.Trail(
        TRAIL,
        name=names.of(TRAIL),
        s3_bucket_name=logs,
        s3_key_prefix=TRAIL,
        enable_log_file_validation=True,
        include_global_service_events=False,
        event_selectors=[
            {
                "read_write_type": "All",
                "include_management_events": False,  # the account's own trail, if any, has those
                "data_resources": [
                    {
                        "type": "AWS::S3::Object",
                        "values": [f"arn:aws:s3:::{names.bucket(_FILLED_BY_PEOPLE)}/"],
                    }
                ],
            }
        ],
        tags=names.tags(TRAIL),
        opts=opts,
    )
