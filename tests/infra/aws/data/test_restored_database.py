"""A database that is made from a backup: of a snapshot or of another moment, beside the old one."""

import boto3
import pytest

from infra.aws.settings import read_aws_settings
from infra.settings import SettingError
from ray_jobs.backups.database import RdsDatabase
from ray_jobs.backups.saved import BackupError
from tests.infra.support.graph import configure, record, recorded

MOMENT = "hm-mlflow-database-0123abcd@2026-11-29T03:00:00Z"


@pytest.mark.parametrize(
    ("source", "made_from"),
    [
        ("hm-mlflow-database-0123abcd-20261129-030000", "snapshotIdentifier"),
        (MOMENT, "restoreToPointInTime"),
    ],
)
def test_the_database_is_made_from_what_the_setting_names(source: str, made_from: str):
    before = recorded("prod")
    [old] = before.of("rds.Instance").values()

    graph = record(environment="prod", egress="nat", restoreDatabase=source)

    [(name, new)] = graph.of("rds.Instance").items()
    wanted = {"sourceDbInstanceIdentifier": MOMENT.split("@", maxsplit=1)[0], "restoreTime": MOMENT.split("@")[1]}
    assert new[made_from] == (source if made_from == "snapshotIdentifier" else wanted)
    # Another resource with another identifier: the old one, which is protected, is neither changed nor taken away.
    assert name != "database"
    assert new["identifier"] != old["identifier"]
    its_own = {"identifier", "finalSnapshotIdentifier"}
    if made_from == "snapshotIdentifier":  # which has the size that its database had grown to
        its_own.add("allocatedStorage")
    assert {key: new.get(key) for key in old if key not in its_own} == {
        key: old[key] for key in old if key not in its_own
    }
    assert ("allocatedStorage" in new) == (made_from != "snapshotIdentifier")
    assert graph.get("rds.Instance", name).protected
    [log] = [one for one in graph.of("cloudwatch.LogGroup").values() if one["name"].startswith("/aws/rds/")]
    assert log["name"] == f"/aws/rds/instance/{new['identifier']}/postgresql"
    assert graph.outputs["database"] == new["identifier"]


def test_without_the_setting_it_begins_empty():
    [database] = recorded("dev").of("rds.Instance").values()
    assert not {"snapshotIdentifier", "restoreToPointInTime"} & database.keys()


@pytest.mark.parametrize("wrong", ["yesterday at 3", "database@2026-11-29", "@2026-11-29T03:00:00Z"])
def test_what_is_neither_a_snapshot_nor_a_moment_is_refused(wrong: str):
    configure(restoreDatabase=wrong)
    with pytest.raises(SettingError, match="it takes a snapshot, which make restore names, or an instance and a time"):
        read_aws_settings()


@pytest.fixture
def instance(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database on a simulated RDS."""
    for name, value in {
        "AWS_ENDPOINT_URL_RDS": aws_server,
        "AWS_DEFAULT_REGION": "ap-south-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION", raising=False)
    boto3.client("rds").create_db_instance(
        DBInstanceIdentifier="hm-mlflow-database-1",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="mlflow",
        MasterUserPassword="a password",
    )
    yield "hm-mlflow-database-1"
    boto3.client("rds").delete_db_instance(DBInstanceIdentifier="hm-mlflow-database-1", SkipFinalSnapshot=True)


def test_a_backup_holds_the_name_of_a_snapshot_that_is_complete(instance: str, tmp_path):
    database = RdsDatabase(instance=instance)
    database.dump(tmp_path / "copy")

    name = database.load(tmp_path / "copy", home=database.home)

    [found] = boto3.client("rds").describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
    assert (found["DBInstanceIdentifier"], found["Status"]) == (instance, "available")


def test_a_snapshot_that_is_gone_and_an_instance_that_is_not_there_are_named(instance: str, tmp_path):
    (tmp_path / "copy").write_text("gone")
    with pytest.raises(BackupError, match="RDS refuses gone"):
        RdsDatabase(instance=instance).load(tmp_path / "copy", home="")
    with pytest.raises(BackupError, match="RDS refuses nowhere"):
        RdsDatabase(instance="nowhere").dump(tmp_path / "copy")
