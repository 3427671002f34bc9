"""Changes of what is asked for, each of which breaks one rule."""

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from infra.aws.graph import Asked, Graph
from infra.aws.imagined import graph_of
from tests.infra.support.graph import CIDRS, REGION, defaults

GONE = object()


@functools.cache
def asked(environment: str, egress: str = "nat", edge: str = "balancer") -> Graph:
    """What the program of an environment asks for, run once for all tests."""
    settings = {"environment": environment, "egress": egress, "edge": edge}
    return graph_of("aws", defaults() | settings | {"allowedCidrs": CIDRS, "aws:region": REGION})


@dataclass(frozen=True)
class Mutation:
    """A resource's property with another value; without a path, the resource is gone, or is another one."""

    rule: str
    kind: str
    name: str
    path: tuple[Any, ...] = ()
    value: Any = GONE
    environment: str = "dev"
    edge: str = "balancer"

    def __str__(self) -> str:
        return f"{self.rule}: {self.kind} {self.name} {'.'.join(map(str, self.path))}"

    def of(self, graph: Graph) -> Graph:
        found = graph.get(self.kind, self.name)
        others = tuple(resource for resource in graph.resources if resource is not found)
        if self.path:
            return replace(graph, resources=(*others, changed(found, self.path, self.value)))
        return replace(graph, resources=others if self.value is GONE else (*others, self.value))


def changed(resource: Asked, path: tuple[Any, ...], value: Any) -> Asked:
    if path[0] == "protected":
        return replace(resource, protected=value)
    inputs = copy.deepcopy(resource.inputs)
    *way, last = path
    place: Any = inputs
    for step in way:
        place = place[step]
    if value is GONE:
        assert last in place or isinstance(place, list), f"{path} is not there"
        del place[last]
    else:
        assert not (isinstance(place, dict) and place.get(last) == value), f"{path} is {value!r} already"
        place[last] = value
    return replace(resource, inputs=inputs)


def another(kind: str, name: str, **inputs: Any) -> Asked:
    return Asked(kind, name, inputs)


def mutations() -> Iterator[Mutation]:
    def of(
        rule: str, kind: str, name: str, *changes: Any, environment: str = "dev", edge: str = "balancer"
    ) -> Iterator[Mutation]:
        for change in changes:
            path, value = change if isinstance(change, tuple) else (change, GONE)
            steps = tuple(int(step) if step.isdigit() else step for step in path.split("/")) if path else ()
            yield Mutation(rule, kind, name, steps, value, environment, edge)

    for bucket in ("data", "artefacts", "state", "logs"):
        public = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        yield from of(
            "buckets_are_closed_to_the_public", "s3.BucketPublicAccessBlock", bucket, "", *((p, False) for p in public)
        )
        yield from of("buckets_are_encrypted", "s3.BucketServerSideEncryptionConfiguration", bucket, "", "rules/0")
        status = "versioningConfiguration/status"
        yield from of("buckets_keep_versions", "s3.BucketVersioning", bucket, "", (status, "Suspended"))
        yield from of(
            "buckets_take_tls_alone",
            "s3.BucketPolicy",
            bucket,
            "",
            "policy/Statement/0",
            "policy/Statement/0/Resource/1",
            ("policy/Statement/0/Condition/Bool/aws:SecureTransport", "true"),
            ("policy/Statement/0/Effect", "Allow"),
        )
        kind = "s3.BucketLifecycleConfiguration"
        yield from of("buckets_are_cleaned", kind, bucket, "", ("rules/0/status", "Disabled"))
        yield from of("data_are_not_lost_by_mistake", "s3.Bucket", bucket, ("protected", False), environment="prod")
        yield from of("data_are_not_lost_by_mistake", "s3.Bucket", bucket, ("forceDestroy", True), environment="prod")
    yield from of("buckets_are_cleaned", "s3.BucketLifecycleConfiguration", "data", ("rules/0/expiration", {"days": 1}))
    lost, private = "data_are_not_lost_by_mistake", "the_database_is_private_and_encrypted"
    yield from of(
        lost,
        "rds.Instance",
        "database",
        ("deletionProtection", False),
        ("skipFinalSnapshot", True),
        ("protected", False),
        environment="prod",
    )
    yield from of(lost, "lb.LoadBalancer", "edge", ("enableDeletionProtection", False), environment="prod")
    yield from of(
        private,
        "rds.Instance",
        "database",
        ("storageEncrypted", False),
        ("publiclyAccessible", True),
        "dbSubnetGroupName",
        "vpcSecurityGroupIds/0",
    )
    yield from of(private, "rds.Instance", "database", ("multiAz", False), environment="prod")
    yield from of(private, "rds.SubnetGroup", "database", ("subnetIds/0", "id of public-1"))
    yield from of(
        "the_database_is_backed_up_and_kept_up_to_date",
        "rds.Instance",
        "database",
        ("backupRetentionPeriod", 6),
        ("copyTagsToSnapshot", False),
        ("autoMinorVersionUpgrade", False),
        "enabledCloudwatchLogsExports/0",
    )
    yield from of(
        "the_database_password_is_rds_own",
        "rds.Instance",
        "database",
        "manageMasterUserPassword",
        ("password", "a password"),
    )
    verified = "the_database_takes_tls_alone_and_is_verified"
    yield from of(verified, "rds.ParameterGroup", "database", ("parameters/0/value", "0"))
    yield from of(verified, "rds.Instance", "database", "parameterGroupName", ("caCertIdentifier", "rds-ca-2019"))
    required = [{"name": "PGSSLMODE", "value": "require"}]
    yield from of(verified, "ecs.TaskDefinition", "mlflow", ("containerDefinitions/0/environment", required))
    yield from of(
        "the_edge_is_strict",
        "lb.LoadBalancer",
        "edge",
        ("dropInvalidHeaderFields", False),
        ("desyncMitigationMode", "monitor"),
        ("accessLogs/enabled", False),
        "subnets/1",
        ("idleTimeout", 120),
    )
    listeners = "listeners_speak_tls_and_know_the_public_hosts"
    forward = {"type": "forward", "targetGroupArn": "arn of lb.TargetGroup webapp"}
    yield from of(
        listeners,
        "lb.Listener",
        "edge-443",
        "",
        ("sslPolicy", "ELBSecurityPolicy-2016-08"),
        ("protocol", "HTTP"),
        ("defaultActions/0", forward),
    )
    yield from of(listeners, "lb.Listener", "edge-80", ("defaultActions/0", forward))
    yield from of(listeners, "lb.ListenerRule", "mlflow", "", ("conditions/0/hostHeader/values/0", "*"))
    targets = "targets_are_checked_and_drained"
    yield from of(targets, "lb.TargetGroup", "webapp", ("healthCheck/path", "/"), ("deregistrationDelay", 300))
    yield from of(targets, "lb.TargetGroup", "ray-head", ("healthCheck/unhealthyThreshold", 3))
    yield from of(targets, "ecs.TaskDefinition", "ray-head", ("containerDefinitions/0/healthCheck/retries", 3))
    yield from of(
        "containers_can_do_little",
        "ecs.TaskDefinition",
        "webapp",
        ("containerDefinitions/0/readonlyRootFilesystem", False),
        ("containerDefinitions/0/privileged", True),
        ("containerDefinitions/0/user", "0"),
        ("containerDefinitions/0/memory", 8192),
        "containerDefinitions/0/memory",
        ("containerDefinitions/0/user", "root"),
        "containerDefinitions/0/user",
        "containerDefinitions/0/linuxParameters/capabilities/drop/0",
    )
    full = ("containerDefinitions/0/linuxParameters/tmpfs/0/size", 4096)
    yield from of("containers_can_do_little", "ecs.TaskDefinition", "ray-head", full)
    yield from of("containers_can_do_little", "ecs.TaskDefinition", "ray-head", ("containerDefinitions/1/user", "0"))
    yield from of(
        "containers_are_given_secrets_by_reference_only",
        "ecs.TaskDefinition",
        "mlflow",
        ("containerDefinitions/0/secrets/0/valueFrom", "arn:aws:secretsmanager:eu-west-1:1:secret:another"),
        ("containerDefinitions/0/secrets/0/valueFrom", "arn of secretsmanager.Secret mlflow-admin-password"),
        ("containerDefinitions/0/environment/0", {"name": "MLFLOW_AUTH_ADMIN_PASSWORD", "value": "a password"}),
        ("containerDefinitions/0/environment/0", {"name": "HARMLESS", "value": "value of ray-token"}),
    )
    state = "secrets_are_encrypted_in_the_state"
    yield from of(state, "secretsmanager.SecretVersion", "ray-token", ("secretString", "value of ray-token"))
    yield from of(state, "acm.Certificate", "edge", ("privateKey", "value of tls-key"))
    yield from of(state, "docker.Image", "webapp", ("registry/password", "value of the registry's password"))
    tagged = ("containerDefinitions/0/image", "registry.example/hm-mlflow/webapp:latest")
    yield from of("containers_run_images_by_digest", "ecs.TaskDefinition", "webapp", tagged)
    watched = "services_are_watched_and_rolled_back"
    yield from of(
        watched,
        "ecs.Service",
        "webapp",
        ("deploymentCircuitBreaker/enable", False),
        ("deploymentCircuitBreaker/rollback", False),
        "waitForSteadyState",
    )
    yield from of(watched, "ecs.TaskDefinition", "webapp", "containerDefinitions/0/healthCheck")
    yield from of(watched, "ecs.Cluster", "cluster", ("settings/0/value", "disabled"), environment="prod")
    for sole in ("ray-head", "mlflow"):
        yield from of(
            "there_are_never_two_heads",
            "ecs.Service",
            sole,
            ("desiredCount", 2),
            ("deploymentMaximumPercent", 200),
            ("availabilityZoneRebalancing", "ENABLED"),
        )
    moved = ("availabilityZoneRebalancing", "ENABLED")
    yield from of("there_are_never_two_heads", "ecs.Service", "ray-worker", moved)
    more = another("appautoscaling.Target", "ray-head", maxCapacity=2)
    yield from of("there_are_never_two_heads", "appautoscaling.Target", "webapp", ("", more))
    zones = "the_page_runs_in_both_zones"
    yield from of(
        zones, "ecs.Service", "webapp", ("desiredCount", 1), ("deploymentMinimumHealthyPercent", 0), environment="prod"
    )
    yield from of(zones, "appautoscaling.Target", "webapp", ("minCapacity", 1), environment="prod")
    yield from of(zones, "ec2.Subnet", "private-2", ("availabilityZone", "eu-west-1a"), environment="prod")
    stand = "services_stand_where_nobody_can_connect_to_them"
    yield from of(
        stand,
        "ecs.Service",
        "ray-head",
        ("networkConfiguration/assignPublicIp", True),
        ("networkConfiguration/subnets/0", "id of public-1"),
        ("networkConfiguration/securityGroups/0", "id of edge"),
        ("enableExecuteCommand", True),
    )
    yield from of(stand, "ec2.Subnet", "public-1", ("mapPublicIpOnLaunch", True))
    yield from of(stand, "ec2.NatGateway", "nat", "", environment="prod")
    spare = "only_what_may_be_interrupted_runs_on_spare_capacity"
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    yield from of(spare, "ecs.Service", "mlflow", ("capacityProviderStrategies", spot), "launchType")
    yield from of(spare, "ecs.Service", "ray-worker", ("launchType", "FARGATE"), "capacityProviderStrategies")
    yield from of(spare, "ecs.Service", "webapp", ("capacityProviderStrategies", spot), environment="prod")
    yield from of(spare, "ecs.ClusterCapacityProviders", "cluster", "", ("capacityProviders", ["FARGATE"]))
    protected = "no_worker_is_stopped_while_there_is_work"
    last = "policy/Statement/4"
    yield from of(protected, "ecs.TaskDefinition", "ray-worker", "containerDefinitions/1")
    yield from of(protected, "ecs.TaskDefinition", "ray-worker", ("containerDefinitions/1/essential", True))
    yield from of(protected, "iam.RolePolicy", "ray-worker-task", last, (f"{last}/Resource/0", "*"))
    roles = ("executionRoleArn", "arn of iam.Role webapp-task")
    yield from of("a_service_has_two_roles_of_its_own", "ecs.TaskDefinition", "webapp", roles)
    scanned = "images_are_scanned_and_can_be_pushed_again"
    yield from of(
        scanned,
        "ecr.Repository",
        "model",
        ("imageTagMutability", "IMMUTABLE"),
        ("imageScanningConfiguration/scanOnPush", False),
    )
    yield from of(scanned, "ecr.LifecyclePolicy", "model", "")
    outside = "only_the_edge_takes_outside_addresses"
    rule = "ray-head-from-edge-8265"
    yield from of(outside, "vpc.SecurityGroupIngressRule", rule, ("cidrIpv4", "0.0.0.0/0"), ("cidrIpv6", "::/0"))
    yield from of(outside, "vpc.SecurityGroupIngressRule", rule, "referencedSecurityGroupId")
    edge = "edge-443-203.0.113.0/24"
    yield from of(outside, "vpc.SecurityGroupIngressRule", edge, ("cidrIpv4", "0.0.0.0/0"), ("toPort", 65535))
    yield from of("the_edge_is_strict", "lb.LoadBalancer", "edge", ("internal", True))
    by_cloudfront: dict[str, Any] = {"edge": "cloudfront"}
    inside = (("internal", False), ("subnets/0", "id of public-1"))
    yield from of("the_edge_is_strict", "lb.LoadBalancer", "edge", *inside, **by_cloudfront)
    host = "conditions/0/hostHeader/values/0"
    yield from of(listeners, "lb.ListenerRule", "mlflow", (host, "webapp.cloudfront.net"), **by_cloudfront)
    listed = "edge-80-cloudfront"
    anybody = (("cidrIpv4", "0.0.0.0/0"), ("toPort", 65535), ("prefixListId", "id of edge"), "prefixListId")
    yield from of(outside, "vpc.SecurityGroupIngressRule", listed, *anybody, **by_cloudfront)
    let_in = "cloudfront_lets_in_whom_the_settings_name"
    acl = ("webAclId", ("webAclId", "arn of wafv2.WebAcl another"), ("isIpv6Enabled", True))
    yield from of(let_in, "cloudfront.Distribution", "webapp", "", *acl, **by_cloudfront)
    everybody = {"byteMatchStatement": {"searchString": "/"}}
    yield from of(
        let_in,
        "wafv2.WebAcl",
        "edge",
        "",
        ("defaultAction", {"allow": {}}),
        ("rules/0/action", {"count": {}}),
        ("rules/0/statement", everybody),
        "rules/0",
        ("scope", "REGIONAL"),
        ("visibilityConfig/sampledRequestsEnabled", True),
        **by_cloudfront,
    )
    addresses = ("addresses", ["0.0.0.0/1", "128.0.0.0/1"])
    yield from of(let_in, "wafv2.IpSet", "edge", "", addresses, "addresses/0", **by_cloudfront)
    unasked = another("cloudfront.Distribution", "webapp")
    yield from of(let_in, "lb.LoadBalancer", "edge", ("", unasked))
    open_or_kept = "cloudfront_speaks_https_and_keeps_nothing"
    kept = {"pathPattern": "/static/*", "cachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"}
    yield from of(
        open_or_kept,
        "cloudfront.Distribution",
        "mlflow",
        ("defaultCacheBehavior/viewerProtocolPolicy", "allow-all"),
        ("defaultCacheBehavior/cachePolicyId", "658327ea-f89d-4fab-a63d-7e88639e58f6"),
        "defaultCacheBehavior/originRequestPolicyId",
        ("orderedCacheBehaviors", [kept]),
        ("customErrorResponses/2/errorCachingMinTtl", 10),
        "customErrorResponses/0",
        ("origins/0/customOriginConfig", {"originProtocolPolicy": "http-only"}),
        "origins/0/vpcOriginConfig",
        **by_cloudfront,
    )
    elsewhere = ("vpcOriginEndpointConfig/arn", "arn of lb.LoadBalancer another")
    yield from of(open_or_kept, "cloudfront.VpcOrigin", "origin", elsewhere, **by_cloudfront)
    out = "groups_let_out_https_and_what_others_let_in"
    yield from of(out, "vpc.SecurityGroupEgressRule", "webapp-https", ("fromPort", 0), ("ipProtocol", "-1"))
    yield from of(out, "vpc.SecurityGroupEgressRule", rule, "", "description")
    yield from of(out, "vpc.SecurityGroupIngressRule", rule, "", ("toPort", 9000))
    yield from of(out, "ec2.SecurityGroup", "webapp", ("ingress", [{"fromPort": 0}]), "description")
    named = "roles_allow_named_actions_on_named_resources"
    first = "policy/Statement/0"
    yield from of(
        named,
        "iam.RolePolicy",
        "ray-worker-task",
        (f"{first}/Action", ["s3:*"]),
        (f"{first}/Resource", ["*"]),
        (f"{first}/Action", ["iam:PassRole"]),
        f"{first}/Action",
    )
    managed = another("iam.RolePolicyAttachment", "webapp", policyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    yield from of(named, "iam.RolePolicy", "webapp-execution", ("", managed))
    taken = "roles_are_taken_by_one_service_of_this_account"
    trust = "assumeRolePolicy/Statement/0"
    yield from of(
        taken,
        "iam.Role",
        "ray-head-task",
        (f"{trust}/Principal", {"AWS": "*"}),
        (f"{trust}/Condition/StringEquals/aws:SourceAccount", "999999999999"),
        f"{trust}/Condition",
        f"{trust}/Condition/ArnLike",
    )
    source = {"aws:SourceArn": "arn:aws:ecs:eu-west-1:123456789012:*"}
    account = f"{trust}/Condition/StringEquals"
    starting = (
        "iam.Role",
        "ray-head-execution",
        (f"{trust}/Condition/ArnLike", source),
        f"{account}/aws:SourceAccount",
    )
    yield from of(taken, *starting)
    page = "the_training_task_calls_nothing_of_aws_and_the_page_keeps_its_state_only"
    calls = another("iam.RolePolicy", "model-training-task", policy={"Statement": []})
    yield from of(page, "iam.RolePolicy", "mlflow-task", ("", calls))
    people = ["arn:aws:s3:::hm-mlflow-data-123456789012-eu-west-1/*"]
    yield from of(page, "iam.RolePolicy", "webapp-task", ("policy/Statement/0/Resource", people))
    jobs = "jobs_read_the_data_and_write_their_state_only"
    data = ["arn:aws:s3:::hm-mlflow-data-123456789012-eu-west-1/*"]
    yield from of(jobs, "iam.RolePolicy", "ray-worker-task", ("policy/Statement/3/Resource", data))
    artefacts = ["arn:aws:s3:::hm-mlflow-artefacts-123456789012-eu-west-1/*"]
    yield from of(jobs, "iam.RolePolicy", "ray-head-task", ("policy/Statement/1/Resource", artefacts))
    alone = "a_role_that_starts_a_service_reads_its_secrets_alone"
    others = ["arn of secretsmanager.Secret mlflow-admin-password"]
    yield from of(alone, "iam.RolePolicy", "webapp-execution", ("policy/Statement/3/Resource", others))
    yield from of(alone, "iam.RolePolicy", "mlflow-execution", "policy/Statement/3/Resource/0")
    logs = "logs_are_kept_for_a_time"
    yield from of(logs, "cloudwatch.LogGroup", "webapp", "retentionInDays", ("retentionInDays", 0))
    driver = "containerDefinitions/0/logConfiguration"
    yield from of(
        logs,
        "ecs.TaskDefinition",
        "webapp",
        (f"{driver}/logDriver", "json-file"),
        (f"{driver}/options/awslogs-group", "/ecs/another"),
    )
    recorded_in_prod = "what_happens_is_recorded_in_prod"
    for kind, name, *changes in (
        ("rds.Instance", "database", ("performanceInsightsEnabled", False)),
        ("ec2.FlowLog", "flows", "", ("trafficType", "REJECT"), ("logDestination", "arn:aws:s3:::another/flows/")),
        ("cloudtrail.Trail", "trail", "", ("enableLogFileValidation", False), ("s3BucketName", "another")),
        ("cloudtrail.Trail", "trail", ("eventSelectors/0/readWriteType", "WriteOnly")),
        ("cloudtrail.Trail", "trail", ("eventSelectors/0/dataResources/0/values/0", "arn:aws:s3:::another/")),
        ("s3.BucketPolicy", "logs", "policy/Statement/3", "policy/Statement/5/Condition/ArnLike"),
    ):
        yield from of(recorded_in_prod, kind, name, *changes, environment="prod")
    tags = "everything_that_can_carry_tags_does"
    for resource in ("ec2.Vpc vpc", "rds.Instance database", "ecs.Service webapp", "iam.Role webapp-task"):
        yield from of(tags, *resource.split(), "tags", "tags/Project", "tags/Name", ("tags/Environment", "prod"))
    yield from of(
        "the_notebook_is_closed",
        "sagemaker.NotebookInstance",
        "notebook",
        ("directInternetAccess", "Enabled"),
        ("rootAccess", "Enabled"),
        ("instanceMetadataServiceConfiguration/minimumInstanceMetadataServiceVersion", "1"),
        ("subnetId", "id of public-1"),
        ("securityGroups/0", "id of edge"),
    )
