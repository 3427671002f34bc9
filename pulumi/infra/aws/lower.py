"""The topology as AWS runs it: every reference as text, stores as AWS's own, and the training task besides."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra.addresses import Addresses
from infra.aws.names import Names
from infra.spec import SECRETS, Ref, Service, Topology, Value
from infra.validate import validate

NOTEBOOK, TRAINING = "jupyter", "model-training"
# Of all others there is never a second one, not even during an update: a second Ray head would be a second cluster, and
# two MLflow servers would migrate the database at once.
SEVERAL = ("ray-worker", "webapp")

# Where the images have the certificates of RDS's authorities.
AUTHORITIES = "/usr/local/share/rds/authorities.pem"
PASSWORD_FILE = f"{SECRETS}/pgpass"


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """What only RDS knows of a database: its host, and the secret that holds the password which RDS changes."""

    host: str
    secret: str


UNKNOWN = DatabaseAddress(host="", secret="")


def lower(
    topology: Topology, *, names: Names, webapps: int, scheme: str = "https", database: DatabaseAddress = UNKNOWN
) -> Topology:
    """The same topology for AWS; `scheme` is how people reach it. The notebook stays in it as the service `jupyter`."""
    head = topology.service("ray-head")
    services = (*topology.services, _training(head))
    whole = validate(replace(topology, services=tuple(_reached_by_training(service, head) for service in services)))
    used = {service.image for service in whole.services if service.name != NOTEBOOK}
    return replace(
        whole,
        images=tuple(image for image in whole.images if image.name in used),
        services=tuple(
            replace(
                _lowered(whole, service, names, scheme=scheme, database=database),
                replicas=webapps if service.name == "webapp" else service.replicas,
            )
            for service in whole.services
        ),
        secrets=tuple(name for name in topology.secrets if name not in _not_here(topology)),
    )


def _not_here(topology: Topology) -> set[str]:
    """Secrets that AWS has no use for: RDS makes the database's password, and SageMaker asks for its own login."""
    return {database.password for database in topology.databases} | {"jupyter-token"}


def _training(head: Service) -> Service:
    """The task for `aws ecs run-task`: it submits the training to the cluster and follows it to its end."""
    return replace(
        head,
        name=TRAINING,
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


def _reached_by_training(service: Service, head: Service) -> Service:
    return replace(service, reached_by=(*service.reached_by, TRAINING)) if service.name == head.name else service


def _lowered(topology: Topology, service: Service, names: Names, *, scheme: str, database: DatabaseAddress) -> Service:
    addresses = Addresses(
        bucket=names.bucket,
        database=database.host,
        host=names.host,
        page=lambda name, _: f"{scheme}://{names.host(name)}",
        hosts=lambda name, _: f"{names.host(name)},{names.host(name)}:*",
    )
    dropped = {f"{SECRETS}/{name}" for name in _not_here(topology)}
    environment: dict[str, Value] = {
        name: addresses.text(topology, value) for name, value in service.environment.items() if value not in dropped
    }
    return replace(
        service,
        command=tuple(addresses.text(topology, value) for value in service.command),
        environment={**environment, **_added(service, names, scheme, database)},
        secrets={name: path for name, path in service.secrets.items() if path not in dropped},
        scratch=(*service.scratch, *(path for path in service.kept if path not in service.scratch)),
        kept=(),
    )


def _added(service: Service, names: Names, scheme: str, database: DatabaseAddress) -> Mapping[str, str]:
    """What AWS needs set beside what the topology says."""
    region = {"AWS_DEFAULT_REGION": names.region} if service.buckets or service.databases else {}
    if not service.databases:
        return region
    return region | {
        "DATABASE_SECRET": database.secret,
        "PGPASSFILE": PASSWORD_FILE,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": AUTHORITIES,
        # A browser names the origin of its page, and MLflow refuses those that it has not been told.
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"{scheme}://{names.host(service.name)}",
    }
