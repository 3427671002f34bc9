"""Down, and up again beside what AWS leaves of a stack or writes once more after its end.

This takes the stack down that the other tests of its environment look at, and so comes last.
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra import stack
from infra.aws.account import commands
from infra.aws.account.leftovers import leftovers
from infra.aws.imagined import graph_of
from tests.infra.support.simulated import SUFFIX
from tests.infra.support.simulation import ACCOUNT, LONG, Simulated

pytestmark = LONG

# What `keepData` guards, by its kind.
PROTECTED = {"aws_db_instance", "aws_ecr_repository", "aws_lb", "aws_s3_bucket", "aws_secretsmanager_secret"}
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OF_THE_ACCOUNT = "/aws/sagemaker/NotebookInstances"  # SageMaker makes it, and it belongs to no stack
OF_THE_CLUSTER = "/aws/ecs/containerinsights/hm-mlflow-cluster/performance"


def database(aws: Simulated) -> str:
    [found] = aws.client("rds").describe_db_instances()["DBInstances"]
    return found["DBInstanceIdentifier"]


def log_groups(aws: Simulated) -> set[str]:
    return {group["logGroupName"] for group in aws.client("logs").describe_log_groups()["logGroups"]}


def log_of(instance: str) -> str:
    return f"/aws/rds/instance/{instance}/postgresql"


def fill(aws: Simulated) -> None:
    """What a stack holds when somebody takes it down: objects in versions, of people and of AWS, and images."""
    s3 = aws.client("s3")
    for bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        # The simulation speaks no TLS, without which the policy refuses everything.
        policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.delete_bucket_policy(Bucket=bucket)
        for body in (b"first", b"second"):
            s3.put_object(Bucket=bucket, Key="trail/AWSLogs/an-object", Body=body)
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    ecr = aws.client("ecr")
    for number, repository in enumerate(ecr.describe_repositories()["repositories"]):
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "layers": [],
            "config": {"digest": f"sha256:{number:064}"},
        }
        ecr.put_image(repositoryName=repository["repositoryName"], imageManifest=json.dumps(manifest), imageTag="a-tag")


def what_has_a_name(aws: Simulated) -> dict[str, Any]:
    """What is left in the account of the kinds whose names the program chooses."""
    found = {
        "buckets": aws.client("s3").list_buckets()["Buckets"],
        "repositories": aws.client("ecr").describe_repositories()["repositories"],
        "secrets": aws.client("secretsmanager").list_secrets(IncludePlannedDeletion=True)["SecretList"],
        "roles": aws.client("iam").list_roles()["Roles"],
        "balancers": aws.client("elbv2").describe_load_balancers()["LoadBalancers"],
        "databases": aws.client("rds").describe_db_instances()["DBInstances"],
        "log groups": log_groups(aws),
    }
    return {kind: left for kind, left in found.items() if left}


def states_of_keys(aws: Simulated) -> list[str]:
    """Those of the stack's keys; the simulation has AWS's own too."""
    kms = aws.client("kms")
    found = [kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"] for one in kms.list_keys()["Keys"]]
    return [key["KeyState"] for key in found if key["Description"].startswith("hm-mlflow")]


def left_by(instance: str, aws: Simulated) -> None:
    """Write again what AWS writes after the owners have gone, and what it makes for itself."""
    for group in (log_of(instance), OF_THE_CLUSTER, OF_THE_ACCOUNT):
        if group not in log_groups(aws):
            aws.client("logs").create_log_group(logGroupName=group)


def with_the_suffix_of(instance: str, aws: Simulated) -> str:
    """What Terraform says of a log group that has the name of an earlier database's."""
    document = aws.folder / "main.tf.json"
    said = document.read_text()
    assert SUFFIX in said
    document.write_text(said.replace(SUFFIX, instance.rpartition("-")[2]))
    done = aws.terraform("apply", "-auto-approve", "-target=aws_cloudwatch_log_group.database")
    document.write_text(said)
    assert done.returncode == 1
    return done.stderr


def test_down_and_up_again_beside_what_aws_left(aws: Simulated, monkeypatch: pytest.MonkeyPatch):
    if aws.environment == "dev":
        the_whole_comes_again(aws, monkeypatch)
    else:
        it_goes_once_it_is_allowed_and_each_database_leaves_a_snapshot(aws)


def the_whole_comes_again(aws: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of("aws", aws.settings)
    assert len(list(leftovers(graph, aws.client, ACCOUNT))) > 20, "while it is up, its names are taken"
    first = database(aws)
    fill(aws)

    aws.down()

    assert what_has_a_name(aws) == {}
    assert states_of_keys(aws) == ["PendingDeletion"], "it has no name that could be in the way"
    left_by(first, aws)
    assert "ResourceAlreadyExistsException" in with_the_suffix_of(first, aws)
    assert list(leftovers(graph, aws.client, ACCOUNT)) == [], "`make doctor` lets `make up` begin"

    aws.up()

    second = database(aws)
    assert second != first
    assert {log_of(first), log_of(second)} <= log_groups(aws)

    aws.down()

    left_by(second, aws)
    monkeypatch.setattr(commands, "outputs", lambda _: {})
    monkeypatch.setattr(commands, "regional", lambda _: aws.client)
    monkeypatch.setattr(stack, "read_setting", lambda name, _: {"aws:region": "eu-west-1"}.get(name))
    assert sorted(commands.tidy("aws")) == sorted([log_of(first), log_of(second), OF_THE_CLUSTER])
    assert what_has_a_name(aws) == {"log groups": {OF_THE_ACCOUNT}}


def it_goes_once_it_is_allowed_and_each_database_leaves_a_snapshot(aws: Simulated) -> None:
    rds = aws.client("rds")
    first = database(aws)
    with pytest.raises(ClientError, match="Cannot delete protected DB Instance"):
        rds.delete_db_instance(DBInstanceIdentifier=first, SkipFinalSnapshot=True)
    fill(aws)

    before = aws.declared()
    aws.record(keepData="false")
    changed = {address for address, body in aws.declared().items() if body != before[address]}
    assert {address.split(".")[0] for address in changed} == PROTECTED
    # What keeps data and no more: the simulation does not tell tags that it took, and takes none on what stands.
    aws.up("-refresh=false", *(f"-target={address}" for address in changed))
    aws.down()

    assert what_has_a_name(aws) == {}
    assert [one["DBSnapshotIdentifier"] for one in rds.describe_db_snapshots()["DBSnapshots"]] == [f"{first}-final"]
    left_by(first, aws)

    # The database and what it stands on, because AWS keeps the names of no more; the whole of it takes minutes.
    aws.up("-target=aws_db_instance.database", "-target=aws_cloudwatch_log_group.database")

    second = database(aws)
    with pytest.raises(ClientError, match="DBSnapshotAlreadyExists"):
        rds.delete_db_instance(DBInstanceIdentifier=second, FinalDBSnapshotIdentifier=f"{first}-final")

    aws.down()

    snapshots = {one["DBSnapshotIdentifier"] for one in rds.describe_db_snapshots()["DBSnapshots"]}
    assert snapshots == {f"{first}-final", f"{second}-final"}
