"""The topology on AWS, from the network to what people are told when it is up."""

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.compute import notebook, scaling, services
from infra.aws.data import buckets, database, images, key, secrets
from infra.aws.lower import NOTEBOOK
from infra.aws.names import Names
from infra.aws.network import edge, network
from infra.aws.outputs import outputs
from infra.aws.parts import Stores
from infra.aws.settings import AwsSettings
from infra.aws.watch import budget, monitoring
from infra.spec import Topology


def build(topology: Topology, settings: AwsSettings) -> dict[str, Any]:
    """Declare every resource of the topology; gives the stack's outputs."""
    names = Names(
        project=topology.project,
        stack=pulumi.get_stack(),
        environment=settings.environment.name,
        account=aws.get_caller_identity().account_id,
        region=settings.region,
    )
    lowered = services.lowering(topology, names, settings)
    net = network.build(lowered, names, settings)
    made, logs = buckets.build(lowered, names, settings)
    stores = Stores(
        buckets=made,
        database=database.build(topology.databases[0], names, settings, net),
        secrets=secrets.build(lowered, names, settings),
    )
    way_in = edge.build(lowered, names, settings, net, logs)
    repositories, digests = images.build(lowered, names, settings)
    running = services.build(
        topology,
        names,
        settings,
        network=net,
        stores=stores,
        edge=way_in,
        repositories=repositories,
        images=digests,
    )
    scaling.build(names, settings, running)
    own_key = key.build(names=names, settings=settings).arn
    monitoring.build(names=names, settings=settings, stores=stores, edge=way_in, running=running, key=own_key)
    budget.build(names=names, settings=settings)
    jupyter = notebook.build(
        names=names,
        settings=settings,
        network=net,
        stores=stores,
        service=lowered.service(NOTEBOOK),
        key=own_key,
    )
    return outputs(names, settings, network=net, edge=way_in, running=running, notebook=jupyter)
