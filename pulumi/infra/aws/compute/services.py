"""What runs: a Fargate cluster with a task definition for each service, and the services that keep them running."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.compute import demand, iam
from infra.aws.compute.ecs import Supplied, container_definition, public_port, service_arguments, task_definition
from infra.aws.data import database
from infra.aws.lower import NOTEBOOK, SEVERAL, TRAINING, DatabaseAddress, lower
from infra.aws.names import HOSTS, Names
from infra.aws.parts import Edge, Network, Running, Stores
from infra.aws.settings import AwsSettings
from infra.spec import Service, Topology


def build(
    topology: Topology,
    names: Names,
    settings: AwsSettings,
    *,
    network: Network,
    stores: Stores,
    edge: Edge,
    repositories: Mapping[str, aws.ecr.Repository],
    images: Mapping[str, pulumi.Output[str]],
) -> Running:
    """Declare the cluster and everything on it; `topology` is the one before it was lowered."""
    lowered = lowering(topology, names, settings)
    cluster = aws.ecs.Cluster(
        "cluster",
        name=names.of("cluster"),
        settings=[{"name": "containerInsights", "value": "enabled"}],
        tags=names.tags("cluster"),
    )
    task_definitions: dict[str, aws.ecs.TaskDefinition] = {}
    log_groups: dict[str, aws.cloudwatch.LogGroup] = {}
    services: dict[str, aws.ecs.Service] = {}
    for service in (service for service in lowered.services if service.name != NOTEBOOK):
        log_groups[service.name] = _log_group(service, names, settings)
        task_definitions[service.name] = _task_definition(
            service,
            topology=topology,
            names=names,
            settings=settings,
            stores=stores,
            log_group=log_groups[service.name],
            repository=repositories[service.image],
            image=images[service.image],
        )
    for service in lowered.services:
        if service.name not in (NOTEBOOK, TRAINING):
            services[service.name] = _service(
                service,
                names,
                cluster=cluster,
                task=task_definitions[service.name],
                network=network,
                edge=edge,
                waits=[services[name] for name in service.after],
            )
    return Running(cluster=cluster, services=services, task_definitions=task_definitions, log_groups=log_groups)


def lowering(
    topology: Topology, names: Names, settings: AwsSettings, address: DatabaseAddress | None = None
) -> Topology:
    """The topology for AWS by the stack's settings."""
    options = {"database": address} if address else {}
    scheme = "http" if settings.plain_http else "https"
    return lower(topology, names=names, webapps=settings.environment.webapps, scheme=scheme, **options)


def _log_group(service: Service, names: Names, settings: AwsSettings) -> aws.cloudwatch.LogGroup:
    return aws.cloudwatch.LogGroup(
        service.name,
        name=names.log_group(service.name),
        retention_in_days=settings.environment.log_days,
        tags=names.tags(service.name),
    )


def _task_definition(
    service: Service,
    *,
    topology: Topology,
    names: Names,
    settings: AwsSettings,
    stores: Stores,
    log_group: aws.cloudwatch.LogGroup,
    repository: aws.ecr.Repository,
    image: pulumi.Output[str],
) -> aws.ecs.TaskDefinition:
    known = pulumi.Output.all(
        image=image,
        address=database.address(stores.database),
        **{name: stores.secrets[name].arn for name in service.secrets},
    )

    def containers(known: dict[str, Any]) -> str:
        supplied = Supplied(
            image=known["image"],
            secrets={name: known[name] for name in service.secrets},
            log_group=names.log_group(service.name),
            region=names.region,
        )
        whole = lowering(topology, names, settings, known["address"])
        beside = (
            [demand.container(whole.service(service.name), whole.service("ray-worker"), supplied)]
            if service.name == "ray-head"
            else []
        )
        return json.dumps([container_definition(whole.service(service.name), supplied), *beside])

    execution = iam.execution_role(service, names, repository=repository, log_group=log_group, secrets=stores.secrets)
    task = iam.task_role(topology, service, names, database.secret_arn(stores.database))
    return aws.ecs.TaskDefinition(
        service.name,
        **task_definition(service, family=names.of(service.name)),
        execution_role_arn=execution.arn,
        task_role_arn=task.arn,
        container_definitions=known.apply(containers),
        tags=names.tags(service.name),
    )


def _service(
    service: Service,
    names: Names,
    *,
    cluster: aws.ecs.Cluster,
    task: aws.ecs.TaskDefinition,
    network: Network,
    edge: Edge,
    waits: list[aws.ecs.Service],
) -> aws.ecs.Service:
    options: dict[str, Any] = {}
    if service.name in HOSTS:
        found = _found(service, names, network)
        options["service_registries"] = {"registry_arn": found.arn}
    if service.name in edge.target_groups:
        options["load_balancers"] = [
            {
                "target_group_arn": edge.target_groups[service.name].arn,
                "container_name": service.name,
                "container_port": public_port(service),
            }
        ]
    several = service.name in SEVERAL
    return aws.ecs.Service(
        service.name,
        **service_arguments(service, name=names.of(service.name), several=several),
        **options,
        cluster=cluster.arn,
        task_definition=task.arn,
        network_configuration={
            "subnets": [subnet.id for subnet in network.private_subnets],
            "security_groups": [network.groups[service.name].id],
            "assign_public_ip": False,
        },
        tags=names.tags(service.name),
        # A target group takes members once a listener forwards to it; how many there are is the autoscaling's.
        opts=pulumi.ResourceOptions(
            depends_on=[*edge.rules, *waits], ignore_changes=["desiredCount"] if several else None
        ),
    )


def _found(service: Service, names: Names, network: Network) -> aws.servicediscovery.Service:
    """The name of a service in the private zone, which follows its containers within seconds."""
    return aws.servicediscovery.Service(
        service.name,
        name=HOSTS[service.name],
        dns_config={
            "namespace_id": network.namespace.id,
            "routing_policy": "MULTIVALUE",
            "dns_records": [{"type": "A", "ttl": 10}],
        },
        health_check_custom_config={"failure_threshold": 1},  # ECS takes out who is not healthy
        force_destroy=True,
        tags=names.tags(service.name),
    )
