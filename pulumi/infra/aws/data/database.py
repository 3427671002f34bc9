"""The database: Postgres on RDS, private, encrypted, backed up, with a password that RDS makes and changes itself."""

from hashlib import sha256
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.addresses import database_uri
from infra.aws.names import DATABASE, Names
from infra.aws.parts import Network
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import Database

# The version of the container that stands for it on one machine.
_VERSION = "15"


def build(
    database: Database, names: Names, settings: AwsSettings, groups: Groups, network: Network
) -> aws.rds.Instance:
    """Declare the instance, in the private subnets."""
    opts = groups.within("Database", database.name)
    sizes = settings.environment
    subnets = aws.rds.SubnetGroup(
        DATABASE,
        name=names.of(DATABASE),
        description="The private subnets",
        subnet_ids=[subnet.id for subnet in network.private_subnets],
        tags=names.tags(DATABASE),
        opts=opts,
    )
    parameters = aws.rds.ParameterGroup(
        DATABASE,
        name=names.of(DATABASE),
        family=f"postgres{_VERSION}",
        description="TLS only; connections and what is slow are logged",
        parameters=[
            {"name": "rds.force_ssl", "value": "1"},
            {"name": "log_connections", "value": "1"},
            {"name": "log_disconnections", "value": "1"},
            {"name": "log_min_duration_statement", "value": "1000"},
        ],
        tags=names.tags(DATABASE),
        opts=opts,
    )
    # RDS writes its log once more after its end, and a final snapshot stays: names that AWS keeps are never used again.
    source = settings.restore_database
    identifier = network.vpc.id.apply(lambda vpc: f"{names.of(DATABASE)}-{_suffix(vpc + source)}")
    # One that is made from a backup is another one: the old one stays until the new one is there, and where it is
    # protected until a person takes it away.
    called = f"{DATABASE}-{_suffix(source)}" if source else DATABASE
    log = aws.cloudwatch.LogGroup(
        called,
        name=identifier.apply(lambda name: f"/aws/rds/instance/{name}/postgresql"),
        retention_in_days=sizes.log_days,
        tags=names.tags(DATABASE),
        opts=groups.within("Database", database.name, ignore_changes=["name"]),
    )
    return aws.rds.Instance(
        called,
        **_made_from(source, sizes.database_gib),
        identifier=identifier,
        engine="postgres",
        engine_version=_VERSION,
        instance_class=sizes.database_class,
        db_name=database.user,
        username=database.user,
        manage_master_user_password=True,
        max_allocated_storage=sizes.database_most_gib,
        storage_type="gp3",
        storage_encrypted=True,
        multi_az=sizes.standby,
        publicly_accessible=False,
        db_subnet_group_name=subnets.name,
        vpc_security_group_ids=[network.groups[DATABASE].id],
        parameter_group_name=parameters.name,
        ca_cert_identifier="rds-ca-rsa2048-g1",
        backup_retention_period=sizes.backup_days,
        backup_window="03:00-04:00",
        maintenance_window="sun:04:30-sun:05:30",
        copy_tags_to_snapshot=True,
        auto_minor_version_upgrade=True,
        enabled_cloudwatch_logs_exports=["postgresql"],
        performance_insights_enabled=sizes.audit,  # its free week
        performance_insights_retention_period=7 if sizes.audit else None,
        deletion_protection=settings.protected,
        delete_automated_backups=not settings.protected,
        skip_final_snapshot=not sizes.careful,
        final_snapshot_identifier=identifier.apply(lambda name: f"{name}-final") if sizes.careful else None,
        apply_immediately=not sizes.careful,
        tags=names.tags(DATABASE),
        # A database from before there were suffixes keeps its name: another one would be another database.
        opts=groups.within(
            "Database",
            database.name,
            protect=settings.protected,
            depends_on=[log],
            ignore_changes=["identifier"],
        ),
    )


def _made_from(source: str, gib: int) -> dict[str, Any]:
    """What an instance begins with, nothing, a snapshot, or what another instance held at a time, and its size.

    A snapshot brings its own, which may have grown beyond what a new instance gets.
    """
    instance, at, time = source.partition("@")
    if source and not at:
        return {"snapshot_identifier": source}
    moment = {"source_db_instance_identifier": instance, "restore_time": time}
    return {"allocated_storage": gib} | ({"restore_to_point_in_time": moment} if at else {})


def _suffix(of: str) -> str:
    """Eight characters: those of a network stay until `make down` and are others after it, because it is another."""
    return sha256(of.encode()).hexdigest()[:8]


def known(database: Database, instance: aws.rds.Instance) -> pulumi.Output[dict[str, str]]:
    """What the references to the database come to, by their attributes."""
    return pulumi.Output.all(instance.address, secret_arn(instance)).apply(
        lambda found: {"uri": database_uri(database.user, found[0]), "secret": found[1]}
    )


def secret_arn(instance: aws.rds.Instance) -> pulumi.Output[str]:
    """The secret in which RDS keeps the password."""
    return instance.master_user_secrets.apply(lambda secrets: str(secrets[0].secret_arn))
