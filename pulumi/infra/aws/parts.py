"""What the modules of the AWS program hand to one another.

`backend.py` builds network, stores, edge and services from one another, then what looks at them and the notebook.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.spec import Ref


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where things stand.

    `groups` has a security group for each service of the topology, and for `edge`, `database`, `notebook` and, where
    AWS is reached by interface endpoints, `endpoints`. `ways` are what has to be there before anything in a private
    subnet reaches AWS. Services stand in `service_subnets`, with a public address each where
    `public_addresses`. `namespace` is Cloud Map's and the private zone in one. Nothing outside reaches the network, by
    whichever way, without its `gateway`.
    """

    vpc: aws.ec2.Vpc
    gateway: aws.ec2.InternetGateway
    public_subnets: tuple[aws.ec2.Subnet, ...]
    private_subnets: tuple[aws.ec2.Subnet, ...]
    service_subnets: tuple[aws.ec2.Subnet, ...]
    public_addresses: bool
    groups: Mapping[str, aws.ec2.SecurityGroup]
    namespace: aws.servicediscovery.PrivateDnsNamespace
    ways: tuple[pulumi.Resource, ...]


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where data are: `buckets` by the topology's names (data, artefacts, state) and `logs`; `secrets` by name.

    `versions` is what ECS takes for each secret: its ARN with the version, so that another value is another task.
    """

    buckets: Mapping[str, aws.s3.Bucket]
    database: aws.rds.Instance
    secrets: Mapping[str, aws.secretsmanager.Secret]
    versions: Mapping[str, pulumi.Output[str]]


@dataclass(frozen=True, kw_only=True)
class Edge:
    """How people come in; `certificate` is the PEM text of an authority that clients have to trust, if any.

    `hosts` are the names by which people reach each service. `known` has what the references to a service's `page` and
    `hosts` come to, which the lowering cannot say where CloudFront names them.
    """

    load_balancer: aws.lb.LoadBalancer
    target_groups: Mapping[str, aws.lb.TargetGroup]
    rules: tuple[aws.lb.ListenerRule, ...]
    certificate: str | None
    hosts: Mapping[str, pulumi.Input[str]]
    known: pulumi.Output[Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True, kw_only=True)
class Compute:
    """What runs: services and task definitions by the topology's names, `model-training` among the latter."""

    cluster: aws.ecs.Cluster
    services: Mapping[str, aws.ecs.Service]
    task_definitions: Mapping[str, aws.ecs.TaskDefinition]
    log_groups: Mapping[str, aws.cloudwatch.LogGroup]


def references(known: Mapping[str, Mapping[str, str]]) -> dict[Ref, str]:
    """The text of each reference, from texts by target and attribute: Pulumi hands on nothing with other keys."""
    return {Ref(target, attribute): text for target, texts in known.items() for attribute, text in texts.items()}
