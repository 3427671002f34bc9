"""The topology on AWS, from the network to what people are told when it is up."""

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.compute import notebook, scaling, schedule, services, sleeper
from infra.aws.data import buckets, database, images, key, secrets
from infra.aws.estimate import monthly
from infra.aws.lower import NOTEBOOK, lower
from infra.aws.names import Names
from infra.aws.network import edge, network
from infra.aws.outputs import outputs
from infra.aws.parts import Stores
from infra.aws.settings import AwsSettings
from infra.aws.watch import audit, budget, monitoring
from infra.groups import Groups
from infra.spec import Topology


def build(topology: Topology, settings: AwsSettings) -> dict[str, Any]:
    """Declare every resource of the topology; gives the stack's outputs."""
    names = Names(
        project=topology.project,
        stack=pulumi.get_stack(),
        environment=settings.environment.name,
        account=aws.get_caller_identity().account_id,
        region=settings.region,
        own_domain=settings.domain,
    )
    whole = lower(
        topology,
        names=names,
        replicas=settings.environment.replicas,
        sizes=settings.environment.sizes,
        scheme=settings.scheme,
        named_later=settings.by_cloudfront,
    )
    groups = Groups()
    net = network.build(whole, names, settings, groups)
    made, logs = buckets.build(whole, names, settings, groups)
    kept, versions = secrets.build(whole, names, settings, groups)
    stores = Stores(
        buckets=made,
        database=database.build(whole.databases[0], names, settings, groups, net),
        secrets=kept,
        versions=versions,
    )
    way_in = edge.build(whole, names, settings, groups, network=net, logs=logs)
    repositories, digests = images.build(whole, names, settings, groups)
    compute = services.build(
        whole,
        names,
        settings,
        groups,
        network=net,
        stores=stores,
        edge=way_in,
        repositories=repositories,
        images=digests,
    )
    schedule.build(whole, names, settings, groups, network=net, compute=compute)
    scaling.build(whole, names, settings, groups, compute=compute)
    own_key = key.build(names, settings, groups, others=[monitoring.key_statement(names)]).arn
    monitored = monitoring.build(
        whole, names, settings, groups, stores=stores, edge=way_in, compute=compute, key=own_key
    )
    if settings.sleep_after:
        sleeper.build(
            whole,
            names,
            settings,
            groups,
            stores=stores,
            edge=way_in,
            compute=compute,
            topic=monitored.arn,
            key=own_key,
        )
    audit.build(names, settings, groups, network=net, logs=logs)
    own = monthly(settings.environment, egress=settings.egress, options=settings.options, edge=settings.edge)
    dollars = own if settings.monthly_budget is None else settings.monthly_budget
    if dollars:  # who may not see an account's bills cannot have one
        budget.build(names, settings, groups, dollars=dollars)
    jupyter = notebook.build(
        names, settings, groups, network=net, stores=stores, service=whole.service(NOTEBOOK), key=own_key
    )
    groups.close()
    return outputs(
        whole,
        names,
        settings,
        network=net,
        edge=way_in,
        compute=compute,
        notebook=jupyter,
        database=stores.database,
    )
