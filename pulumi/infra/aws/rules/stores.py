"""What must hold of buckets and the database."""

from collections.abc import Iterator
from typing import Any

from infra.aws.graph import Graph
from infra.aws.names import DATABASE, FLOWS, LOGS, TRAIL
from infra.aws.rules.common import containers, environment, expect

_PASSWORDS_OF_RDS = "arn:aws:secretsmanager:{}:{}:secret:rds!"


def _of_each_bucket(graph: Graph, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    settings = graph.of(kind)
    yield from ((name, settings.get(name, {})) for name in graph.of("s3.Bucket"))


def _databases(graph: Graph) -> dict[str, dict[str, Any]]:
    """By name: one that is made from a backup has another name than the first."""
    return graph.of("rds.Instance")


def buckets_are_closed_to_the_public(graph: Graph) -> Iterator[str]:
    """Buckets are closed to the public."""
    closed = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
    for name, block in _of_each_bucket(graph, "s3.BucketPublicAccessBlock"):
        yield from expect(name, block, bucket=graph.of("s3.Bucket")[name]["bucket"], **closed)
    for name, rules in _of_each_bucket(graph, "s3.BucketOwnershipControls"):
        yield from expect(name, rules, rule={"objectOwnership": "BucketOwnerEnforced"})


def buckets_are_encrypted(graph: Graph) -> Iterator[str]:
    """Buckets are encrypted."""
    for name, encryption in _of_each_bucket(graph, "s3.BucketServerSideEncryptionConfiguration"):
        found = [rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] for rule in encryption.get("rules", [])]
        if found != ["AES256" if name == LOGS else "aws:kms"]:
            yield f"{name} is encrypted by {found}"


def buckets_keep_versions(graph: Graph) -> Iterator[str]:
    """Buckets keep versions."""
    for name, versioning in _of_each_bucket(graph, "s3.BucketVersioning"):
        yield from expect(name, versioning, versioningConfiguration={"status": "Enabled"})


def buckets_take_tls_alone(graph: Graph) -> Iterator[str]:
    """Buckets take tls alone."""
    for name, guard in _of_each_bucket(graph, "s3.BucketPolicy"):
        statements = guard.get("policy", {}).get("Statement", [])
        arn = f"arn:aws:s3:::{graph.of('s3.Bucket')[name]['bucket']}"
        denied = {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        if denied not in statements:
            yield f"{name} takes requests without TLS"
        if any(one["Effect"] == "Allow" and one["Principal"] in ("*", {"AWS": "*"}) for one in statements):
            yield f"{name} is open to everybody"


def buckets_are_cleaned(graph: Graph) -> Iterator[str]:
    """Buckets are cleaned."""
    for name, lifecycle in _of_each_bucket(graph, "s3.BucketLifecycleConfiguration"):
        rules = [rule for rule in lifecycle.get("rules", []) if rule["status"] == "Enabled"]
        for what in ("abortIncompleteMultipartUpload", "noncurrentVersionExpiration"):
            if not any(rule.get(what) and rule["filter"]["prefix"] == "" for rule in rules):
                yield f"{name} has no {what} for everything in it"
        if name != LOGS and any("expiration" in rule for rule in rules):
            yield f"{name} loses what people put there"


def data_are_not_lost_by_mistake(graph: Graph) -> Iterator[str]:
    """Data are not lost by mistake."""
    guarded = graph.settings.protected  # in prod until `keepData` is false
    for resource in graph.resources:
        if resource.kind == "s3.Bucket":
            yield from expect(str(resource), resource.inputs, forceDestroy=not guarded)
        if resource.kind in ("s3.Bucket", "rds.Instance") and resource.protected != guarded:
            yield f"{resource} has protection {resource.protected}"
    for name, database in _databases(graph).items():
        yield from expect(name, database, deletionProtection=guarded, skipFinalSnapshot=not graph.careful)
    yield from expect("edge", graph.of("lb.LoadBalancer")["edge"], enableDeletionProtection=guarded)


def the_database_is_private_and_encrypted(graph: Graph) -> Iterator[str]:
    """The database is private and encrypted."""
    for name, database in _databases(graph).items():
        yield from expect(
            name,
            database,
            storageEncrypted=True,
            publiclyAccessible=False,
            multiAz=graph.settings.environment.standby,
            dbSubnetGroupName=graph.names.of("database"),
            vpcSecurityGroupIds=["id of database"],
        )
    yield from expect(
        "its subnets", graph.of("rds.SubnetGroup")[DATABASE], subnetIds=["id of private-1", "id of private-2"]
    )


def the_database_is_backed_up_and_kept_up_to_date(graph: Graph) -> Iterator[str]:
    """The database is backed up and kept up to date."""
    least = min(7, graph.settings.environment.backup_days)  # the free plan has a day
    for name, database in _databases(graph).items():
        if database.get("backupRetentionPeriod", 0) < least:
            yield f"backups of {name} are kept for less than {least} days"
        yield from expect(
            name,
            database,
            copyTagsToSnapshot=True,
            autoMinorVersionUpgrade=True,
            enabledCloudwatchLogsExports=["postgresql"],
        )


def the_database_password_is_rds_own(graph: Graph) -> Iterator[str]:
    """The database password is rds own."""
    for name, database in _databases(graph).items():
        yield from expect(name, database, manageMasterUserPassword=True)
        yield from (f"the stack knows {key} of {name}" for key in ("password", "passwordWo") if key in database)


def the_database_takes_tls_alone_and_is_verified(graph: Graph) -> Iterator[str]:
    """The database takes tls alone and is verified."""
    parameters = {one["name"]: one["value"] for one in graph.of("rds.ParameterGroup")[DATABASE]["parameters"]}
    yield from expect("parameters", parameters, **{"rds.force_ssl": "1"})
    for name, database in _databases(graph).items():
        wanted = {"parameterGroupName": graph.names.of("database"), "caCertIdentifier": "rds-ca-rsa2048-g1"}
        yield from expect(name, database, **wanted)
    mlflow = containers(graph)["mlflow"]["mlflow"]
    yield from expect(
        "mlflow",
        environment(mlflow),
        PGSSLMODE="verify-full",
        PGSSLROOTCERT="/usr/local/share/rds/authorities.pem",
        PGPASSFILE="/run/secrets/pgpass",
    )
    where, begin = environment(mlflow).get("DATABASE_SECRET", ""), _PASSWORDS_OF_RDS
    if not where.startswith(begin.format(graph.names.region, graph.names.account)):
        yield f"mlflow reads the database's password at {where or 'no place'}"


def what_happens_is_recorded_in_prod(graph: Graph) -> Iterator[str]:
    """Who reads the X-rays, who connects to whom and what keeps the database busy is recorded in prod."""
    flows, trails = graph.of("ec2.FlowLog"), graph.of("cloudtrail.Trail")
    for name, database in _databases(graph).items():
        yield from expect(name, database, performanceInsightsEnabled=graph.careful)
    if not graph.careful:
        yield from (f"{name} costs money in {graph.names.environment}" for name in (*flows, *trails))
        return
    data, logs = (graph.of("s3.Bucket")[name]["bucket"] for name in ("data", "logs"))
    yield from expect(
        "flows",
        flows.get(FLOWS, {}),
        vpcId="id of vpc",
        trafficType="ALL",
        logDestination=f"arn:aws:s3:::{logs}/flows/",
    )
    trail = trails.get(TRAIL, {})
    yield from expect("trail", trail, s3BucketName=logs, s3KeyPrefix=TRAIL, enableLogFileValidation=True)
    objects = {"type": "AWS::S3::Object", "values": [f"arn:aws:s3:::{data}/"]}
    for selector in trail.get("eventSelectors", [{}]):
        yield from expect("trail", selector, readWriteType="All", dataResources=[objects])
    policy = graph.of("s3.BucketPolicy")["logs"]["policy"]["Statement"]
    written = {one["Resource"] for one in policy if one["Effect"] == "Allow" and one["Action"] == "s3:PutObject"}
    for name in (TRAIL, FLOWS):
        if f"arn:aws:s3:::{logs}/{name}/AWSLogs/{graph.names.account}/*" not in written:
            yield f"{name} may not be written"
    if any("aws:SourceArn" not in str(one.get("Condition")) for one in policy if one["Sid"].startswith("AWS")):
        yield "somebody else's trail or log may be written"


RULES = (
    what_happens_is_recorded_in_prod,
    buckets_are_closed_to_the_public,
    buckets_are_encrypted,
    buckets_keep_versions,
    buckets_take_tls_alone,
    buckets_are_cleaned,
    data_are_not_lost_by_mistake,
    the_database_is_private_and_encrypted,
    the_database_is_backed_up_and_kept_up_to_date,
    the_database_password_is_rds_own,
    the_database_takes_tls_alone_and_is_verified,
)
