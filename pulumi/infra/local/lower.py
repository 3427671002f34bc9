"""The topology as containers of one machine: stores become services, references become addresses."""

from dataclasses import replace

from infra.local import stores
from infra.spec import HTTP_ATTRIBUTES, Ref, Service, Topology, Value
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
    return validate(replace(whole, services=tuple(_resolved(whole, service) for service in in_order(whole))))


def in_order(topology: Topology) -> list[Service]:
    """The services, each behind those that it waits for."""
    ordered: dict[str, Service] = {}

    def place(service: Service) -> None:
        if service.name not in ordered:
            for name in service.after:
                place(topology.service(name))
            ordered[service.name] = service

    for service in topology.services:
        place(service)
    return list(ordered.values())


def networks(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The networks that each service stands on, without the project's prefix.

    All share one, but what only one service may reach, and nobody from outside, shares a network with that one alone.
    """
    on = {service.name: [COMMON] for service in topology.services}
    for service in topology.services:
        if len(service.reached_by) == 1 and not any(port.public for port in service.ports):
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
    def text(value: Value) -> str:
        return _address(topology, value) if isinstance(value, Ref) else value

    return replace(
        service,
        command=tuple(text(value) for value in service.command),
        environment={name: text(value) for name, value in service.environment.items()},
    )


def _address(topology: Topology, ref: Ref) -> str:
    if any(bucket.name == ref.target for bucket in topology.buckets):
        return f"s3://{stores.bucket_name(topology, ref.target)}"
    if any(database.name == ref.target for database in topology.databases):
        user = topology.database(ref.target).user
        # Named, because MLflow compares a number with text in a way that psycopg 3, SQLAlchemy's default, refuses.
        return f"postgresql+psycopg2://{user}@{stores.POSTGRES}:5432/{user}"
    service = topology.service(ref.target)
    port = service.port("http" if ref.attribute in HTTP_ATTRIBUTES else ref.attribute)
    if port is None:
        raise LookupError(f"{ref.target} has no port for {ref.attribute!r}.")
    if ref.attribute == "url":
        return f"http://{service.name}:{port.number}"
    if ref.attribute == "page":
        return f"http://localhost:{port.number}"
    if ref.attribute == "hosts":
        return ",".join(f"{host}:{port.number}" for host in (service.name, "localhost", "127.0.0.1"))
    return f"{service.name}:{port.number}"
