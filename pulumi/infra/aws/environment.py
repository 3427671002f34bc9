"""What `environment: dev|prod` decides, all in one place: protection, sizes, how many, how long things are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from infra.spec import Service


@dataclass(frozen=True, kw_only=True)
class Size:
    """Units of 1/1024 of a core, and MiB, that a task on Fargate has."""

    cpu: int
    memory: int


@dataclass(frozen=True, kw_only=True)
class Environment:
    """How careful and how large a stack is.

    Attributes
    ----------
    careful
        What holds data cannot be deleted, and leaves a final snapshot where it has one.
    approval
        A version that passes the gate waits for a person's approval.
    standby
        The database has a second instance in the other zone.
    database_class, database_gib, database_most_gib, backup_days
        The database: its machine, its disk, how far that grows by itself, and how long backups are kept.
    replicas, most_replicas
        Containers of each service that follows its load: always, and at most.
    idle_workers
        Ray workers while no job runs.
    audit
        Who reads the X-rays, who connects to whom and what keeps the database busy is recorded.
    insights
        CloudWatch measures every task (Container Insights), which costs as much as a small service.
    sizes
        Services that have another size here than the topology gives them. `dev` has to fit into the 5 vCPUs that a new
        account may have, all at once: a training, a worker, the page and what serves them.
    spare
        During an update there may be more containers than before it, so that the old ones answer until the new ones do.
    egress
        How containers reach what is outside, where the setting does not say: see `AwsSettings`.
    spot
        What is interruptible runs on capacity that AWS has to spare, at about half the price: it may end it with two
        minutes' notice.
    architecture
        The processors of Fargate's machines, as ECS names them; images are built for them.
    log_days
        How long logs are kept.
    notebook_type, notebook_gib
        The notebook's machine and disk.
    """

    name: str
    careful: bool
    approval: bool
    standby: bool
    database_class: str
    database_gib: int
    database_most_gib: int
    backup_days: int
    replicas: int
    most_replicas: int
    idle_workers: int
    log_days: int
    notebook_type: str
    notebook_gib: int
    audit: bool
    insights: bool
    egress: str
    spot: bool = False
    sizes: Mapping[str, Size] = field(default_factory=dict)
    spare: bool = True
    architecture: str = "X86_64"

    def on_spot(self, service: Service) -> bool:
        """Whether a service runs on capacity to spare here."""
        return self.spot and service.interruptible


DEV = Environment(
    name="dev",
    careful=False,
    approval=False,
    standby=False,
    database_class="db.t4g.micro",
    database_gib=20,
    database_most_gib=50,
    backup_days=7,
    replicas=1,
    most_replicas=1,
    idle_workers=0,
    log_days=30,
    notebook_type="ml.t3.medium",
    notebook_gib=20,
    audit=False,
    insights=False,
    egress="public",
    spot=True,
    sizes={
        "mlflow": Size(cpu=512, memory=3072),
        "webapp": Size(cpu=1024, memory=4096),
        "model-training": Size(cpu=256, memory=2048),
    },
    spare=False,
)
PROD = Environment(
    name="prod",
    careful=True,
    approval=True,
    standby=True,
    database_class="db.t4g.small",
    database_gib=50,
    database_most_gib=200,
    backup_days=14,
    replicas=2,
    most_replicas=10,
    idle_workers=1,
    log_days=365,
    notebook_type="ml.t3.medium",
    notebook_gib=50,
    audit=True,
    insights=True,
    egress="nat",
)
ENVIRONMENTS = {environment.name: environment for environment in (DEV, PROD)}


def on_arm(environment: Environment) -> Environment:
    """The same on AWS's own processors, which cost a fifth less."""
    return replace(environment, architecture="ARM64")


def on_free_plan(environment: Environment) -> Environment:
    """The same as an account on AWS's free plan may have it: RDS keeps its backups for a day there."""
    return replace(environment, backup_days=1)
