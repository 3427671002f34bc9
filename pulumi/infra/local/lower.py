"""The topology as containers of one machine: stores become services, references become addresses."""

from dataclasses import replace

from infra.addresses import Addresses, database_uri
from infra.local import stores
from infra.spec import Service, Topology
from infra.validate import validate

COMMON = "common"


def lower(topology: Topology) -> Topology:
    """The same topology with containers in place of managed stores, and text in place of every reference."""
    validate(topology)
    by_bucket = tuple(service.name for service in topology.services if service.buckets)
    services = [_with_stores(service) for service in topology.services]
    for database in topology.databases:
        users = tuple(service.name for service in topology.services if database.name in service.databases)
        services.append(stores.postgres(database, users))
    services += [stores.object_store(by_bucket), stores.make_buckets(topology, topology.buckets)]
    whole = replace(
        topology,
        images=(*topology.images, *stores.IMAGES),
        services=tuple(services),
        secrets=(*topology.secrets, stores.PASSWORD, stores.CREDENTIALS),
    )
    return validate(replace(whole, services=tuple(_resolved(whole, service) for service in whole.in_order())))


def networks(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The networks that each service stands on, without the project's prefix.

    All share one, but what only one service may reach, and nobody from outside, shares a network with that one alone.
    """
    on = {service.name: [COMMON] for service in topology.services}
    for service in topology.services:
        if len(service.reached_by) == 1 and service.public_port is None:
            on[service.name] = [service.name]
            on[service.reached_by[0]].append(service.name)
    return {name: tuple(names) for name, names in on.items()}


def _with_stores(service: Service) -> Service:
    environment, secrets = stores.access(service)
    waits = ((stores.BUCKETS,) if service.buckets else ()) + ((stores.POSTGRES,) if service.databases else ())
    return replace(
        service,
        environment={**service.environment, **environment},
        secrets={**service.secrets, **secrets},
        after=(*waits, *service.after),
    )


def _resolved(topology: Topology, service: Service) -> Service:
    addresses = Addresses(
        bucket=lambda name: stores.bucket_name(topology, name),
        database=lambda database: database_uri(database.user, stores.POSTGRES),
        host=lambda name: name,
        page=lambda _, port: f"http://localhost:{port}",
        hosts=lambda name, port: ",".join(f"{host}:{port}" for host in (name, "localhost", "127.0.0.1")),
    )
    return replace(
        service,
        command=tuple(addresses.resolve(topology, value) for value in service.command),
        environment={
            **({} if topology.image(service.image).public else _past_any_proxy(topology)),
            **{name: addresses.resolve(topology, value) for name, value in service.environment.items()},
        },
    )


def _past_any_proxy(topology: Topology) -> dict[str, str]:
    """What lets containers ask each other straight: Docker sets the proxy of its configuration in every container.

    Libraries differ in which of the two they read.
    """
    hosts = ",".join(("localhost", "127.0.0.1", "::1", *sorted(service.name for service in topology.services)))
    return {"NO_PROXY": hosts, "no_proxy": hosts}
