"""What must hold of every resource of a stack on AWS: each rule gives a line for whatever breaks it."""

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import pulumi_aws as aws

from tests.infra.support.graph import ACCOUNT, CIDRS, DATABASE_SECRET, Graph
from tests.infra.support.recorded import Secret, secrets_in

Rule = Callable[[Graph], Iterator[str]]
RULES: dict[str, Rule] = {}
GROUP = "id of "
TLS_POLICIES = {"ELBSecurityPolicy-TLS13-1-2-Res-2021-06"}
# The actions that AWS lets nobody narrow to a resource.
UNSCOPED = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
STORED = {"data", "artefacts", "state", "logs"}


def rule(check: Rule) -> Rule:
    RULES[check.__name__] = check
    return check


def careful(graph: Graph) -> bool:
    return graph.environment == "prod"


def is_hidden(graph: Graph) -> bool:
    """Whether services reach the outside without an address there."""
    endpoints = graph.of("ec2.VpcEndpoint").values()
    return bool(graph.of("ec2.NatGateway")) or any(one["vpcEndpointType"] == "Interface" for one in endpoints)


def expect(where: str, found: dict[str, Any], **wanted: Any) -> Iterator[str]:
    for key, value in wanted.items():
        if found.get(key) != value:
            yield f"{where}: {key} is {found.get(key)!r}, not {value!r}"


def of_each_bucket(graph: Graph, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    settings = graph.of(kind)
    for name in graph.of("s3.Bucket"):
        assert name in STORED
        yield name, settings.get(name, {})


@rule
def buckets_are_closed_to_the_public(graph: Graph) -> Iterator[str]:
    closed = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
    for name, block in of_each_bucket(graph, "s3.BucketPublicAccessBlock"):
        yield from expect(name, block, bucket=graph.of("s3.Bucket")[name]["bucket"], **closed)
    for name, rules in of_each_bucket(graph, "s3.BucketOwnershipControls"):
        yield from expect(name, rules, rule={"objectOwnership": "BucketOwnerEnforced"})


@rule
def buckets_are_encrypted(graph: Graph) -> Iterator[str]:
    for name, encryption in of_each_bucket(graph, "s3.BucketServerSideEncryptionConfiguration"):
        found = [rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] for rule in encryption.get("rules", [])]
        if found != ["AES256" if name == "logs" else "aws:kms"]:
            yield f"{name} is encrypted by {found}"


@rule
def buckets_keep_versions(graph: Graph) -> Iterator[str]:
    for name, versioning in of_each_bucket(graph, "s3.BucketVersioning"):
        yield from expect(name, versioning, versioningConfiguration={"status": "Enabled"})


@rule
def buckets_take_tls_alone(graph: Graph) -> Iterator[str]:
    for name, guard in of_each_bucket(graph, "s3.BucketPolicy"):
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


@rule
def buckets_are_cleaned(graph: Graph) -> Iterator[str]:
    for name, lifecycle in of_each_bucket(graph, "s3.BucketLifecycleConfiguration"):
        rules = [rule for rule in lifecycle.get("rules", []) if rule["status"] == "Enabled"]
        for what in ("abortIncompleteMultipartUpload", "noncurrentVersionExpiration"):
            if not any(rule.get(what) and rule["filter"]["prefix"] == "" for rule in rules):
                yield f"{name} has no {what} for everything in it"
        if name != "logs" and any("expiration" in rule for rule in rules):
            yield f"{name} loses what people put there"


@rule
def data_are_not_lost_by_mistake(graph: Graph) -> Iterator[str]:
    guarded = careful(graph)
    for resource in graph.resources:
        if resource.kind == "s3.Bucket":
            yield from expect(str(resource), resource.inputs, forceDestroy=not guarded)
        if resource.kind in ("s3.Bucket", "rds.Instance") and resource.protected != guarded:
            yield f"{resource} has protection {resource.protected}"
    yield from expect(
        "database", graph.of("rds.Instance")["database"], deletionProtection=guarded, skipFinalSnapshot=not guarded
    )
    yield from expect("edge", graph.of("lb.LoadBalancer")["edge"], enableDeletionProtection=guarded)


@rule
def the_database_is_private_and_encrypted(graph: Graph) -> Iterator[str]:
    database = graph.of("rds.Instance")["database"]
    yield from expect(
        "database",
        database,
        storageEncrypted=True,
        publiclyAccessible=False,
        multiAz=careful(graph),
        dbSubnetGroupName="hm-mlflow-database",
        vpcSecurityGroupIds=["id of database"],
    )
    yield from expect(
        "its subnets", graph.of("rds.SubnetGroup")["database"], subnetIds=["id of private-1", "id of private-2"]
    )


@rule
def the_database_is_backed_up_and_kept_up_to_date(graph: Graph) -> Iterator[str]:
    database = graph.of("rds.Instance")["database"]
    if database.get("backupRetentionPeriod", 0) < 7:
        yield "backups are kept for less than a week"
    yield from expect(
        "database",
        database,
        copyTagsToSnapshot=True,
        autoMinorVersionUpgrade=True,
        enabledCloudwatchLogsExports=["postgresql"],
    )


@rule
def the_database_password_is_rds_own(graph: Graph) -> Iterator[str]:
    database = graph.of("rds.Instance")["database"]
    yield from expect("database", database, manageMasterUserPassword=True)
    yield from (f"the stack knows {key}" for key in ("password", "passwordWo") if key in database)


@rule
def the_database_takes_tls_alone_and_is_verified(graph: Graph) -> Iterator[str]:
    parameters = {one["name"]: one["value"] for one in graph.of("rds.ParameterGroup")["database"]["parameters"]}
    yield from expect("parameters", parameters, **{"rds.force_ssl": "1"})
    database = graph.of("rds.Instance")["database"]
    yield from expect(
        "database", database, parameterGroupName="hm-mlflow-database", caCertIdentifier="rds-ca-rsa2048-g1"
    )
    mlflow = containers(graph)["mlflow"]["mlflow"]
    yield from expect(
        "mlflow",
        environment(mlflow),
        PGSSLMODE="verify-full",
        PGSSLROOTCERT="/usr/local/share/rds/authorities.pem",
        PGPASSFILE="/run/secrets/pgpass",
        DATABASE_SECRET=DATABASE_SECRET,
    )


@rule
def the_edge_is_strict(graph: Graph) -> Iterator[str]:
    edge = graph.of("lb.LoadBalancer")["edge"]
    yield from expect(
        "edge",
        edge,
        dropInvalidHeaderFields=True,
        desyncMitigationMode="strictest",
        accessLogs={"enabled": True, "bucket": graph.of("s3.Bucket")["logs"]["bucket"], "prefix": "edge"},
        subnets=["id of public-1", "id of public-2"],
        securityGroups=["id of edge"],
    )
    if edge["idleTimeout"] != 4000:  # the most that AWS takes
        yield f"a connection on which nothing is said is closed after {edge['idleTimeout']} s"


@rule
def listeners_speak_tls_and_know_three_hosts(graph: Graph) -> Iterator[str]:
    listeners = {listener["port"]: listener for listener in graph.of("lb.Listener").values()}
    if set(listeners) != {80, 443}:
        yield f"there are listeners at {sorted(listeners)}"
        return
    secure, plain = listeners[443], listeners[80]
    yield from expect("443", secure, protocol="HTTPS", certificateArn="arn of acm.Certificate edge")
    if secure.get("sslPolicy") not in TLS_POLICIES:
        yield f"443 speaks {secure.get('sslPolicy')}"
    [nothing] = secure["defaultActions"]
    if nothing["type"] != "fixed-response" or nothing["fixedResponse"]["statusCode"] != "404":
        yield "unknown hosts are answered"
    redirect = {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}
    if plain["defaultActions"] != [{"type": "redirect", "redirect": redirect}]:
        yield "plain HTTP is answered"
    hosts = {}
    for name, one in graph.of("lb.ListenerRule").items():
        yield from expect(name, one, listenerArn="arn of lb.Listener edge-443")
        [condition], [action] = one["conditions"], one["actions"]
        hosts[tuple(condition["hostHeader"]["values"])] = (action["type"], action["targetGroupArn"])
    wanted = {"mlflow": "mlflow", "app": "webapp", "ray": "ray-head"}
    if hosts != {
        (f"{host}.hm-mlflow.internal",): ("forward", f"arn of lb.TargetGroup {service}")
        for host, service in wanted.items()
    }:
        yield f"hosts lead to {hosts}"


@rule
def targets_are_checked_and_drained(graph: Graph) -> Iterator[str]:
    paths = {"mlflow": "/health", "ray-head": "/api/gcs_healthz", "webapp": "/healthz"}
    for name, group in graph.of("lb.TargetGroup").items():
        yield from expect(name, group["healthCheck"], path=paths[name], matcher="200")
        yield from expect(name, group, targetType="ip", vpcId="id of vpc")
        check, own = group["healthCheck"], containers(graph)[name][name]["healthCheck"]
        if check["interval"] * check["unhealthyThreshold"] < own["interval"] * own["retries"]:
            yield f"{name} is replaced by the load balancer before its own check gives it up"
        if name == "ray-head" and own["interval"] * own["retries"] < 180:
            yield "a busy driver ends the cluster"
        if group["deregistrationDelay"] > containers(graph)[name][name]["stopTimeout"]:
            yield f"{name} is killed while it still has requests"


def containers(graph: Graph) -> dict[str, dict[str, dict[str, Any]]]:
    """The containers of each task definition by name."""
    return {
        name: {container["name"]: container for container in task["containerDefinitions"]}
        for name, task in graph.of("ecs.TaskDefinition").items()
    }


def each_container(graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    for task, inside in containers(graph).items():
        yield from ((f"{task}/{name}", container) for name, container in inside.items())


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("environment", [])}


@rule
def containers_can_do_little(graph: Graph) -> Iterator[str]:
    for name, container in each_container(graph):
        yield from expect(name, container, readonlyRootFilesystem=True, privileged=False)
        yield from expect(name, container["linuxParameters"], capabilities={"drop": ["ALL"]}, initProcessEnabled=True)
        task = graph.of("ecs.TaskDefinition")[name.split("/")[0]]
        inside = containers(graph)[name.split("/")[0]].values()
        if sum(one.get("memory", 0) for one in inside) != int(task["memory"]):
            yield f"{name} sees memory that its task does not have"
        user = container.get("user", "root")
        if not user.isdigit() or int(user) < 1000:
            yield f"{name} runs as {user}"


@rule
def containers_are_given_secrets_by_reference_only(graph: Graph) -> Iterator[str]:
    known = {f"arn of secretsmanager.Secret {name}" for name in graph.of("secretsmanager.Secret")}
    for name, container in each_container(graph):
        for secret in container.get("secrets", []):
            if secret["valueFrom"] not in known:
                yield f"{name} has {secret['name']} from {secret['valueFrom']}"
        for variable, value in environment(container).items():
            if any(word in variable for word in ("PASSWORD", "TOKEN", "KEY", "SECRET")) and not (
                value.startswith(("/run/secrets/", "arn:")) or variable in ("RAY_AUTH_MODE",) or value == "off"
            ):
                yield f"{name} has {variable} in the open"
            if "value of" in value:
                yield f"{name} tells a secret in {variable}"


@rule
def secrets_are_encrypted_in_the_state(graph: Graph) -> Iterator[str]:
    where = {"secretsmanager.SecretVersion": "secretString", "acm.Certificate": "privateKey"}
    for resource in graph.resources:
        field = where.get(resource.kind)
        if field and not isinstance(resource.inputs.get(field), Secret):
            yield f"{resource} is in the open"
        shown = json.dumps({key: value for key, value in resource.inputs.items() if key != field}, default=repr_of)
        if "value of" in shown:
            yield f"{resource} tells a secret"
        if resource.kind.startswith("docker.") and not list(secrets_in(resource.inputs)):
            yield f"{resource} tells the registry's password"


def repr_of(value: Any) -> str:
    return "a secret" if isinstance(value, Secret) else repr(value)


@rule
def containers_run_images_by_digest(graph: Graph) -> Iterator[str]:
    for name, container in each_container(graph):
        if "@sha256:" not in container["image"]:
            yield f"{name} runs {container['image']}"


@rule
def services_are_watched_and_rolled_back(graph: Graph) -> Iterator[str]:
    for name, service in graph.of("ecs.Service").items():
        breaker = {"enable": True, "rollback": True}
        yield from expect(name, service, deploymentCircuitBreaker=breaker, waitForSteadyState=True)
        if "healthCheck" not in containers(graph)[name][name]:
            yield f"{name} has no health check"
    insights = [{"name": "containerInsights", "value": "enabled" if careful(graph) else "disabled"}]
    yield from expect("cluster", graph.of("ecs.Cluster")["cluster"], settings=insights)


@rule
def there_are_never_two_heads(graph: Graph) -> Iterator[str]:
    yield from expect("ray-worker", graph.of("ecs.Service")["ray-worker"], availabilityZoneRebalancing="DISABLED")
    for name in ("ray-head", "mlflow"):
        yield from expect(
            name,
            graph.of("ecs.Service")[name],
            desiredCount=1,
            deploymentMinimumHealthyPercent=0,
            deploymentMaximumPercent=100,
            availabilityZoneRebalancing="DISABLED",
        )
    scaled = set(graph.of("appautoscaling.Target"))
    if scaled != {"webapp", "ray-worker"}:
        yield f"autoscaling moves {scaled}"


@rule
def the_page_runs_in_both_zones(graph: Graph) -> Iterator[str]:
    page = graph.of("ecs.Service")["webapp"]
    if not careful(graph):
        return  # dev has one, for its price and for the quota of a new account
    yield from expect("webapp", page, deploymentMinimumHealthyPercent=100, availabilityZoneRebalancing="ENABLED")
    if page["desiredCount"] < 2 or graph.of("appautoscaling.Target")["webapp"]["minCapacity"] < 2:
        yield "there may be one page only"
    zones = {subnet["availabilityZone"] for name, subnet in graph.of("ec2.Subnet").items() if "private" in name}
    if len(zones) < 2:
        yield "the private subnets are in one zone"


@rule
def services_stand_where_nobody_can_connect_to_them(graph: Graph) -> Iterator[str]:
    """In private subnets; or in dev with addresses of their own, to which no group lets anybody in."""
    hidden = is_hidden(graph)
    if careful(graph) and not hidden:
        yield "services have public addresses"
    kind = "private" if hidden else "public"
    for name, service in graph.of("ecs.Service").items():
        yield from expect(
            name,
            service["networkConfiguration"],
            assignPublicIp=not hidden,
            subnets=[f"id of {kind}-1", f"id of {kind}-2"],
            securityGroups=[f"id of {name}"],
        )
        yield from expect(name, service, enableExecuteCommand=False)
    for name, subnet in graph.of("ec2.Subnet").items():
        yield from expect(name, subnet, mapPublicIpOnLaunch=False)


@rule
def only_what_may_be_interrupted_runs_on_spare_capacity(graph: Graph) -> Iterator[str]:
    for name, service in graph.of("ecs.Service").items():
        spare = not careful(graph) and name in ("ray-worker", "webapp")
        spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        yield from expect(name, service, capacityProviderStrategies=spot if spare else None)
        yield from expect(name, service, launchType=None if spare else "FARGATE")
    there = graph.of("ecs.ClusterCapacityProviders").get("cluster", {})
    yield from expect("cluster", there, capacityProviders=["FARGATE", "FARGATE_SPOT"])


@rule
def a_service_has_two_roles_of_its_own(graph: Graph) -> Iterator[str]:
    for name, task in graph.of("ecs.TaskDefinition").items():
        yield from expect(
            name,
            task,
            executionRoleArn=f"arn of iam.Role {name}-execution",
            taskRoleArn=f"arn of iam.Role {name}-task",
        )


@rule
def images_are_scanned_and_never_replaced(graph: Graph) -> Iterator[str]:
    for name, repository in graph.of("ecr.Repository").items():
        yield from expect(
            name, repository, imageTagMutability="IMMUTABLE", imageScanningConfiguration={"scanOnPush": True}
        )
        if name not in graph.of("ecr.LifecyclePolicy"):
            yield f"{name} grows for ever"


@rule
def only_the_edge_takes_outside_addresses(graph: Graph) -> Iterator[str]:
    let_in = set()
    for name, one in graph.of("vpc.SecurityGroupIngressRule").items():
        if one.get("cidrIpv6") or one.get("prefixListId"):
            yield f"{name} lets in addresses"
        if cidr := one.get("cidrIpv4"):
            let_in.add((one["securityGroupId"], cidr, one["fromPort"], one["toPort"], one["ipProtocol"]))
        elif not str(one.get("referencedSecurityGroupId")).startswith(GROUP):
            yield f"{name} lets in somebody else"
    if let_in != {("id of edge", cidr, port, port, "tcp") for cidr in CIDRS for port in (80, 443)}:
        yield f"outside addresses come in at {let_in}"


@rule
def groups_let_out_https_and_what_others_let_in(graph: Graph) -> Iterator[str]:
    def ends(kind: str) -> set[tuple[Any, ...]]:
        return {
            (one["securityGroupId"], one["referencedSecurityGroupId"], one["fromPort"], one["toPort"])
            for one in graph.of(kind).values()
            if "referencedSecurityGroupId" in one
        }

    let_in = {(source, to, first, last) for to, source, first, last in ends("vpc.SecurityGroupIngressRule")}
    if let_in != ends("vpc.SecurityGroupEgressRule"):
        yield "what one group lets out is not what the other lets in"
    for name, one in graph.of("vpc.SecurityGroupEgressRule").items():
        if "cidrIpv4" in one and (one["fromPort"], one["toPort"], one["ipProtocol"]) != (443, 443, "tcp"):
            yield f"{name} lets out more than HTTPS"
    for kind in ("vpc.SecurityGroupIngressRule", "vpc.SecurityGroupEgressRule"):
        yield from (f"{name} says no reason" for name, one in graph.of(kind).items() if not one.get("description"))
    for name, group in graph.of("ec2.SecurityGroup").items():
        if group.get("ingress") or group.get("egress") or not group.get("description"):
            yield f"{name} has rules of its own or no description"
    yield from expect("unused", graph.of("ec2.DefaultSecurityGroup")["unused"], ingress=[], egress=[])


def statements(graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in graph.of("iam.RolePolicy").items():
        yield from ((name, statement) for statement in one["policy"]["Statement"])


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@rule
def roles_allow_named_actions_on_named_resources(graph: Graph) -> Iterator[str]:
    for name, statement in statements(graph):
        actions = listed(statement.get("Action", "*"))
        if statement["Effect"] != "Allow" or any("*" in action for action in actions):
            yield f"{name} allows {actions}"
        if any(resource == "*" for resource in listed(statement["Resource"])) and not set(actions) <= UNSCOPED:
            yield f"{name} allows {actions} on everything"
        if any(action == "iam:PassRole" for action in actions):
            yield f"{name} passes roles"
    for kind in ("iam.RolePolicyAttachment", "iam.Policy", "iam.User", "iam.AccessKey"):
        yield from (f"{kind} {name} is not one of ours" for name in graph.of(kind))


@rule
def roles_are_taken_by_one_service_of_this_account(graph: Graph) -> Iterator[str]:
    for name, role in graph.of("iam.Role").items():
        service = "sagemaker.amazonaws.com" if name == "notebook" else "ecs-tasks.amazonaws.com"
        [statement] = role["assumeRolePolicy"]["Statement"]
        yield from expect(name, statement, Principal={"Service": service}, Action="sts:AssumeRole")
        account = statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
        if account != ACCOUNT:
            yield f"{name} is taken by {account}"
        # AWS documents the source for what code calls, not for what ECS itself does to start a task.
        if ("ArnLike" in statement.get("Condition", {})) == name.endswith("-execution"):
            yield f"{name} is taken under {statement.get('Condition')}"
        if role.get("managedPolicyArns"):
            yield f"{name} has policies of AWS's"


@rule
def the_training_task_calls_nothing_of_aws_and_the_page_keeps_its_state_only(graph: Graph) -> Iterator[str]:
    if "model-training-task" in graph.of("iam.RolePolicy"):
        yield "model-training-task may call AWS"
    state = f"arn:aws:s3:::{graph.of('s3.Bucket')['state']['bucket']}"
    for _, statement in (one for one in statements(graph) if one[0] == "webapp-task"):
        for resource in listed(statement["Resource"]):
            if resource not in (state, f"{state}/*"):
                yield f"webapp-task may reach {resource}"


@rule
def jobs_read_the_data_and_write_their_state_only(graph: Graph) -> Iterator[str]:
    for name in ("ray-head-task", "ray-worker-task"):
        for _, statement in (one for one in statements(graph) if one[0] == name):
            buckets = {resource.split(":::")[1].split("/")[0] for resource in listed(statement["Resource"])}
            writes = any(
                action.startswith(("s3:Put", "s3:Delete", "s3:Abort")) for action in listed(statement["Action"])
            )
            allowed = {
                graph.of("s3.Bucket")[bucket]["bucket"] for bucket in (("state",) if writes else ("data", "state"))
            }
            if not buckets <= allowed:
                yield f"{name} may do {statement['Action']} in {buckets}"


@rule
def a_role_that_starts_a_service_reads_its_secrets_alone(graph: Graph) -> Iterator[str]:
    for task, inside in containers(graph).items():
        wanted = {secret["valueFrom"] for one in inside.values() for secret in one.get("secrets", [])}
        readable = {
            resource
            for name, statement in statements(graph)
            if name == f"{task}-execution" and "secretsmanager:GetSecretValue" in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }
        if wanted != readable:
            yield f"{task} needs {wanted} and may read {readable}"


@rule
def logs_are_kept_for_a_time(graph: Graph) -> Iterator[str]:
    groups = graph.of("cloudwatch.LogGroup")
    for name, group in groups.items():
        if group.get("retentionInDays") not in (30, 365):
            yield f"{name} is kept for {group.get('retentionInDays')}"
    for task, inside in containers(graph).items():
        for container in inside.values():
            log = container["logConfiguration"]
            if log["logDriver"] != "awslogs" or log["options"]["awslogs-group"] != groups[task]["name"]:
                yield f"{task} logs elsewhere"


@rule
def everything_that_can_carry_tags_does(graph: Graph) -> Iterator[str]:
    for resource in graph.resources:
        module, name = resource.kind.split(".")
        kind = getattr(getattr(aws, module, None), name, None)
        if kind is None or "tags" not in inspect.signature(kind._internal_init).parameters:
            continue
        tags = resource.inputs.get("tags", {})
        wanted = {"Project": "hm-mlflow", "Stack": "aws", "Environment": graph.environment, "ManagedBy": "pulumi"}
        if not wanted.items() <= tags.items() or not tags.get("Name", "").startswith("hm-mlflow-"):
            yield f"{resource} has tags {tags}"


@rule
def the_notebook_is_closed(graph: Graph) -> Iterator[str]:
    [notebook] = graph.of("sagemaker.NotebookInstance").values()
    hidden = is_hidden(graph)
    yield from expect(
        "notebook",
        notebook,
        # Without a NAT gateway SageMaker's own network leads to the internet, and in from nowhere.
        directInternetAccess="Disabled" if hidden else "Enabled",
        rootAccess="Disabled",
        instanceMetadataServiceConfiguration={"minimumInstanceMetadataServiceVersion": "2"},
        subnetId="id of private-1",
        securityGroups=["id of jupyter"],
    )
