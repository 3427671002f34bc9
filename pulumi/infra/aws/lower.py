"""The topology as AWS runs it: stores as AWS's own, with the training task, and with text for almost every reference.

What remains are references to the database, `uri` and `secret`: RDS alone knows its host and where the password is. And
behind CloudFront, which alone knows the names that it gives, those to the pages and hosts of what people reach.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from infra.addresses import Addresses
from infra.aws.environment import Size
from infra.aws.names import Names
from infra.spec import SECRETS, Ref, Service, Topology, Value
from infra.validate import TopologyError, validate

NOTEBOOK, TRAINING = "jupyter", "model-training"
# Where the images have the certificates of RDS's authorities.
AUTHORITIES = "/usr/local/share/rds/authorities.pem"
PASSWORD_FILE = f"{SECRETS}/pgpass"


def lower(
    topology: Topology,
    *,
    names: Names,
    replicas: int,
    sizes: Mapping[str, Size] = MappingProxyType({}),
    scheme: str = "https",
    named_later: bool = False,
) -> Topology:
    """The same topology for AWS, the notebook still in it as the service `jupyter`.

    `replicas` is the number of each service that follows its load; `sizes` are those that differ from the topology's;
    `scheme` is how people reach all of them. Where people's names for them are `named_later`, because CloudFront gives
    them, the references to pages and hosts remain too.
    """
    head = topology.service("ray-head")
    services = tuple(_sized(service, sizes) for service in (*topology.services, _training(head)))
    whole = validate(replace(topology, services=tuple(_reached_by_training(service, head) for service in services)))
    used = {service.image for service in whole.services if service.name != NOTEBOOK}
    _check(whole, used)
    return replace(
        whole,
        images=tuple(image for image in whole.images if image.name in used),
        services=tuple(
            replace(
                _lowered(whole, service, names, _addresses(whole, names, scheme, named_later=named_later)),
                replicas=replicas if service.follows("load") else service.replicas,
            )
            for service in whole.services
        ),
        secrets=tuple(name for name in topology.secrets if name not in _not_here(topology)),
    )


def public_services(topology: Topology) -> list[Service]:
    """The services that people reach through the load balancer; SageMaker has an address of its own."""
    return [service for service in topology.services if service.public_port and service.name != NOTEBOOK]


def hosts(topology: Topology, names: Names) -> list[str]:
    """The names that people type."""
    return [names.host(service) for service in public_services(topology)]


def allowed(host: str) -> str:
    """A host by which a service may be addressed, at its own port or at any."""
    return f"{host},{host}:*"


def _check(topology: Topology, images: set[str]) -> None:
    """What only AWS has to know; raises TopologyError with a line for each thing to fix."""
    wrong = [
        f"The image {name} has no `user`; give it the number that its Dockerfile passes to useradd."
        for name in sorted(images)
        if topology.image(name).user is None
    ]
    wrong += [
        f"{service.name} is public and not checked by HTTP on port {service.public_port}; give its `health` that port "
        "and a path that answers 200 where it can take requests."
        for service in public_services(topology)
        if service.health is None or service.health.port != service.public_port
    ]
    if wrong:
        raise TopologyError("The topology cannot be built on AWS:\n" + "\n".join(f"- {line}" for line in wrong))


def _not_here(topology: Topology) -> set[str]:
    """Secrets that AWS has no use for: RDS makes the database's password, and SageMaker asks for its own login."""
    return {database.password for database in topology.databases} | {"jupyter-token"}


def _training(head: Service) -> Service:
    """The task for `aws ecs run-task`: it submits the training to the cluster and follows it to its end."""
    return replace(
        head,
        name=TRAINING,
        host="",
        cpu=512,
        memory=2048,
        command=("ray", "job", "submit", "--address", Ref("ray-head", "url"), "--", "python", "-m", "ray_jobs.train"),
        environment={name: head.environment[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")},
        secrets={"ray-token": head.secrets["ray-token"]},
        ports=(),
        health=None,
        buckets=(),
        reached_by=(),
        once=True,
    )


def _sized(service: Service, sizes: Mapping[str, Size]) -> Service:
    size = sizes.get(service.name)
    return replace(service, cpu=size.cpu, memory=size.memory) if size else service


def _reached_by_training(service: Service, head: Service) -> Service:
    return replace(service, reached_by=(*service.reached_by, TRAINING)) if service.name == head.name else service


def _lowered(topology: Topology, service: Service, names: Names, addresses: Addresses) -> Service:
    dropped = {f"{SECRETS}/{name}" for name in _not_here(topology)}
    environment = {
        name: addresses.resolve(topology, value) for name, value in service.environment.items() if value not in dropped
    }
    return replace(
        service,
        command=tuple(addresses.resolve(topology, value) for value in service.command),
        environment={**environment, **_added(topology, service, names, addresses)},
        secrets={name: path for name, path in service.secrets.items() if path not in dropped},
        scratch=(*service.scratch, *(path for path in service.kept if path not in service.scratch)),
        kept=(),
    )


def _addresses(topology: Topology, names: Names, scheme: str, *, named_later: bool) -> Addresses:
    def host(name: str) -> str:
        return names.host(topology.service(name))

    return Addresses(
        bucket=names.bucket,
        database=lambda database: Ref(database.name, "uri"),
        host=host,
        page=lambda name, _: Ref(name, "page") if named_later else f"{scheme}://{host(name)}",
        hosts=lambda name, _: Ref(name, "hosts") if named_later else allowed(host(name)),
    )


def _added(topology: Topology, service: Service, names: Names, addresses: Addresses) -> Mapping[str, Value]:
    """What AWS needs set beside what the topology says."""
    region: dict[str, Value] = {"AWS_DEFAULT_REGION": names.region} if service.buckets or service.databases else {}
    if not service.databases:
        return region
    return region | {
        "DATABASE_SECRET": Ref(service.databases[0], "secret"),
        "PGPASSFILE": PASSWORD_FILE,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": AUTHORITIES,
        # A browser names the origin of its page, and MLflow refuses those that it has not been told.
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": addresses.resolve(topology, Ref(service.name, "page")),
    }
