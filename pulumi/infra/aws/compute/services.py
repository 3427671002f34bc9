"""What runs: a Fargate cluster with a task definition for each service, and the services that keep them running."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.compute import demand, iam
from infra.aws.compute.ecs import SPOT, Supplied, container_definition, service_arguments, task_definition
from infra.aws.data import database
from infra.aws.lower import NOTEBOOK, TRAINING
from infra.aws.names import Names
from infra.aws.parts import Compute, Edge, Network, Stores, references
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import Service, Topology


def build(
    topology: Topology,
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    *,
    network: Network,
    stores: Stores,
    edge: Edge,
    repositories: Mapping[str, aws.ecr.Repository],
    images: Mapping[str, pulumi.Output[str]],
) -> Compute:
    """Declare the cluster and everything on it, each service behind those that it waits for."""
    cluster = aws.ecs.Cluster(
        "cluster",
        name=names.of("cluster"),
        settings=[{"name": "containerInsights", "value": "enabled" if settings.environment.insights else "disabled"}],
        tags=names.tags("cluster"),
        opts=groups.within("Cluster", "cluster"),
    )
    # Which capacities there are; a service names its own where that is another one.
    capacities = aws.ecs.ClusterCapacityProviders(
        "cluster",
        cluster_name=cluster.name,
        capacity_providers=["FARGATE", SPOT],
        default_capacity_provider_strategies=[{"capacity_provider": "FARGATE", "weight": 1}],
        opts=groups.within("Cluster", "cluster"),
    )
    task_definitions: dict[str, aws.ecs.TaskDefinition] = {}
    log_groups: dict[str, aws.cloudwatch.LogGroup] = {}
    services: dict[str, aws.ecs.Service] = {}
    for service in (service for service in topology.in_order() if service.name != NOTEBOOK):
        log_groups[service.name] = _log_group(service, names, settings, groups)
        task_definitions[service.name] = _task_definition(
            service,
            topology=topology,
            names=names,
            architecture=settings.environment.architecture,
            groups=groups,
            stores=stores,
            edge=edge,
            log_group=log_groups[service.name],
            repository=repositories[service.image],
            image=images[service.image],
        )
        if service.name != TRAINING:
            services[service.name] = _service(
                service,
                names,
                settings,
                groups,
                cluster=cluster,
                task=task_definitions[service.name],
                network=network,
                edge=edge,
                waits=[capacities, *network.ways, *(services[name] for name in service.after if name in services)],
            )
    return Compute(cluster=cluster, services=services, task_definitions=task_definitions, log_groups=log_groups)


def _log_group(service: Service, names: Names, settings: AwsSettings, groups: Groups) -> aws.cloudwatch.LogGroup:
    return aws.cloudwatch.LogGroup(
        service.name,
        name=names.log_group(service.name),
        retention_in_days=settings.environment.log_days,
        tags=names.tags(service.name),
        opts=groups.within("Service", service.name),
    )


def _task_definition(
    service: Service,
    *,
    topology: Topology,
    names: Names,
    architecture: str,
    groups: Groups,
    stores: Stores,
    edge: Edge,
    log_group: aws.cloudwatch.LogGroup,
    repository: aws.ecr.Repository,
    image: pulumi.Output[str],
) -> aws.ecs.TaskDefinition:
    [stored] = topology.databases
    known = pulumi.Output.all(
        image=image,
        database=database.known(stored, stores.database),
        people=edge.known,
        secrets=pulumi.Output.all(**{name: stores.versions[name] for name in service.secrets}),
    )
    # Workers whose number follows the work that is counted beside this service.
    counted = [other for other in topology.services if other.scaling and other.scaling.counted_beside == service.name]

    # Of a worker: the head, which knows whether there is work.
    follows = service.scaling.counted_beside if service.scaling else ""
    head = topology.service(follows) if follows else None

    def containers(known: dict[str, Any]) -> str:
        supplied = Supplied(
            image=known["image"],
            user=_user(topology, service),
            secrets=known["secrets"],
            log_group=names.log_group(service.name),
            region=names.region,
            known=references(known["people"] | {stored.name: known["database"]}),
        )
        beside = [demand.container(service, worker, supplied) for worker in counted]
        if head is not None:
            beside.append(demand.protection(service, f"http://{names.host(head)}:{head.public_port}", supplied))
        taken = sum(one["memory"] for one in beside)
        return json.dumps([container_definition(service, supplied, beside=taken), *beside])

    execution = iam.execution_role(
        service, names, groups, repository=repository, log_group=log_group, secrets=stores.secrets
    )
    task = iam.task_role(topology, service, names, groups, database.secret_arn(stores.database))
    return aws.ecs.TaskDefinition(
        service.name,
        **task_definition(service, family=names.of(service.name), architecture=architecture),
        execution_role_arn=execution.arn,
        task_role_arn=task.arn,
        container_definitions=known.apply(containers),
        tags=names.tags(service.name),
        opts=groups.within("Service", service.name),
    )


def _user(topology: Topology, service: Service) -> int:
    user = topology.image(service.image).user
    assert user is not None  # the lowering refuses an image without  # noqa: S101
    return user


def _service(
    service: Service,
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    *,
    cluster: aws.ecs.Cluster,
    task: aws.ecs.TaskDefinition,
    network: Network,
    edge: Edge,
    waits: list[pulumi.Resource],
) -> aws.ecs.Service:
    options: dict[str, Any] = {}
    if service.ports:
        found = _found(service, names, groups, network)
        options["service_registries"] = {"registry_arn": found.arn}
    if service.name in edge.target_groups:
        options["load_balancers"] = [
            {
                "target_group_arn": edge.target_groups[service.name].arn,
                "container_name": service.name,
                "container_port": service.public_port,
            }
        ]
    return aws.ecs.Service(
        service.name,
        **service_arguments(
            service,
            name=names.of(service.name),
            spare=settings.environment.spare,
            spot=settings.environment.on_spot(service),
        ),
        **options,
        cluster=cluster.arn,
        task_definition=task.arn,
        network_configuration={
            "subnets": [subnet.id for subnet in network.service_subnets],
            "security_groups": [network.groups[service.name].id],
            "assign_public_ip": network.public_addresses,
        },
        tags=names.tags(service.name),
        # A target group takes members once a listener forwards to it; how many there are is the autoscaling's.
        opts=groups.within(
            "Service",
            service.name,
            depends_on=[*edge.rules, *waits],
            delete_before_replace=True,  # its name can be given once
            ignore_changes=["desiredCount"] if service.scaling else None,
            # While there is work, an update waits for its end: see `demand.protection`.
            custom_timeouts=pulumi.CustomTimeouts(update="4h") if service.follows("work") else None,
        ),
    )


def _found(service: Service, names: Names, groups: Groups, network: Network) -> aws.servicediscovery.Service:
    """The name of a service in the private zone, which follows its containers within seconds."""
    return aws.servicediscovery.Service(
        service.name,
        name=service.label,
        dns_config={
            "namespace_id": network.namespace.id,
            "routing_policy": "MULTIVALUE",
            "dns_records": [{"type": "A", "ttl": 10}],
        },
        health_check_custom_config={"failure_threshold": 1},  # ECS takes out who is not healthy
        force_destroy=True,
        tags=names.tags(service.name),
        opts=groups.within("Service", service.name),
    )
