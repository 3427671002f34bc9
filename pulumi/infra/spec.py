"""What a topology is made of: frozen types that know no platform. A renderer gives them a meaning on its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

SECRETS = "/run/secrets"
HTTP_ATTRIBUTES = ("url", "page", "hosts")


@dataclass(frozen=True)
class Ref:
    """A value that the platform knows: how `target` is reached there.

    `attribute` is `uri` of a bucket or database; of a service it is `url` (of its port `http`), `page` (where people
    open that port), `hosts` (the names and ports by which clients may address it, with commas between) or the name of
    a port, which gives `host:port`.
    """

    target: str
    attribute: str


Value = str | Ref


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port that a service listens on; a public one is reached from outside, for people and their tools."""

    name: str
    number: int
    public: bool = False


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """Whether the service works: by a command in the container that exits with 0, or by HTTP. Times in seconds.

    With `port` and `path`, an HTTP server in the container answers 200 there. A load balancer asks the same.
    """

    command: tuple[str, ...] = ()
    port: int = 0
    path: str = ""
    interval: int = 5
    timeout: int = 5
    retries: int = 6
    start_period: int = 60

    @property
    def words(self) -> tuple[str, ...]:
        """The command; for HTTP that of the images, `healthy URL`."""
        return self.command or ("healthy", f"http://127.0.0.1:{self.port}{self.path}")


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How the number of a service's containers follows what there is to do; a platform may have no means for it.

    `follows` is `load`, the use of its processors, or `work`, the tasks that wait. Those are counted beside the service
    `counted_beside`, by `ray_jobs.demand`.
    """

    follows: Literal["load", "work"]
    counted_beside: str = ""


@dataclass(frozen=True, kw_only=True)
class LogAlarm:
    """An alarm that a service raises and ends by what it writes to its JSON log.

    `raised_by` and `ended_by` are each a name and the fields of a line of `logger`'s, in whose values `*` is any text.
    """

    name: str
    description: str
    metric: str
    logger: str
    raised_by: tuple[str, Mapping[str, str]]
    ended_by: tuple[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Image:
    """A target of a Dockerfile in `compose/images/`, or with `public` an image that others publish.

    `user` is the number of the user that the Dockerfile makes: a platform names it once more, so that nothing runs as
    root by mistake.
    """

    name: str
    dockerfile: str = ""
    target: str = ""
    public: str = ""
    user: int | None = None


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A place for objects. Where `filled_by_people`, services only read it."""

    name: str
    filled_by_people: bool = False


@dataclass(frozen=True, kw_only=True)
class Database:
    """A PostgreSQL database and the user that owns it, whose password is the secret `password`."""

    name: str
    user: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Service:
    """A container that is kept running.

    Attributes
    ----------
    host
        The first label of the name by which people and services find it; its own name if that is empty.
    cpu
        In units of 1/1024 of a core.
    memory
        In MiB; a container that takes more is ended.
    processes
        Most processes and threads.
    several
        There may be more than one of it, also for a moment while a new version takes over.
    interruptible
        It may be ended within two minutes: an environment that saves runs it on capacity to spare, at a lower price.
    scaling
        How the number of its containers follows the work; without it there are `replicas`.
    alarms
        Alarms of its own, beside those that every public service has.
    secrets
        Name of each secret and the file in the container that holds it.
    buckets, databases
        What it reads and writes; the platform sees to addresses and permissions.
    scratch
        Folders that can be written and are lost with the container. Everything else is read-only.
    kept
        Folders that can be written and outlive the container.
    after
        Services that have to be healthy first.
    reached_by
        Services that connect to it.
    once
        It does its work and ends, instead of being kept running.
    optional
        It is only there when it is asked for by this name, which several may share; always, if that is empty.
    stop_timeout
        Seconds between SIGTERM and SIGKILL.
    """

    name: str
    image: str
    cpu: int
    memory: int
    host: str = ""
    processes: int = 512
    command: tuple[Value, ...] = ()
    environment: Mapping[str, Value] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    health: HealthCheck | None = None
    replicas: int = 1
    several: bool = False
    interruptible: bool = False
    scaling: Scaling | None = None
    alarms: tuple[LogAlarm, ...] = ()
    buckets: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ("/tmp",)  # noqa: S108  inside a container
    kept: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    reached_by: tuple[str, ...] = ()
    user: str = ""
    once: bool = False
    optional: str = ""
    stop_timeout: int = 30

    def refs(self) -> Iterator[Ref]:
        """What its command and its environment refer to."""
        yield from (value for value in (*self.command, *self.environment.values()) if isinstance(value, Ref))

    def port(self, name: str) -> Port | None:
        """The port of a name."""
        return next((port for port in self.ports if port.name == name), None)

    @property
    def public_port(self) -> int | None:
        """The port that people reach."""
        return next((port.number for port in self.ports if port.public), None)

    @property
    def scratch_mib(self) -> int:
        """The most that each scratch folder takes. They lie in memory, of which half is left to what runs."""
        return self.memory // 2 // max(1, len(self.scratch))

    def follows(self, what: Literal["load", "work"]) -> bool:
        """Whether the number of its containers follows its load, or the work that waits."""
        return self.scaling is not None and self.scaling.follows == what

    @property
    def label(self) -> str:
        """The first label of its host's name."""
        return self.host or self.name


@dataclass(frozen=True, kw_only=True)
class Topology:
    """All of it.

    `project` begins every name. `secrets` are names; a platform generates each one once and keeps it.
    """

    project: str = "hm-mlflow"
    images: tuple[Image, ...]
    services: tuple[Service, ...]
    buckets: tuple[Bucket, ...]
    databases: tuple[Database, ...]
    secrets: tuple[str, ...]

    def with_only(self, wanted: frozenset[str]) -> "Topology":
        """The same without those optional services that are not wanted, and without what only they need."""
        dropped = {service.name for service in self.services if service.optional and service.optional not in wanted}
        services = tuple(
            replace(service, reached_by=tuple(name for name in service.reached_by if name not in dropped))
            for service in self.services
            if service.name not in dropped
        )
        images = {service.image for service in services}
        secrets = {name for service in services for name in service.secrets}
        passwords = {database.password for database in self.databases}
        return replace(
            self,
            services=services,
            images=tuple(image for image in self.images if image.name in images),
            secrets=tuple(name for name in self.secrets if name in secrets | passwords),
        )

    def in_order(self) -> list[Service]:
        """The services, each behind those that it waits for."""
        ordered: dict[str, Service] = {}

        def place(service: Service) -> None:
            if service.name not in ordered:
                for name in service.after:
                    place(self.service(name))
                ordered[service.name] = service

        for service in self.services:
            place(service)
        return list(ordered.values())

    def service(self, name: str) -> Service:
        """The service of a name; LookupError where there is none."""
        return _named(self.services, name, "service")

    def image(self, name: str) -> Image:
        """The image of a name; LookupError where there is none."""
        return _named(self.images, name, "image")

    def bucket(self, name: str) -> Bucket:
        """The bucket of a name; LookupError where there is none."""
        return _named(self.buckets, name, "bucket")

    def database(self, name: str) -> Database:
        """The database of a name; LookupError where there is none."""
        return _named(self.databases, name, "database")


_T = TypeVar("_T", Service, Image, Bucket, Database)


def _named(things: tuple[_T, ...], name: str, kind: str) -> _T:
    for thing in things:
        if thing.name == name:
            return thing
    raise LookupError(f"There is no {kind} {name!r}; there are {', '.join(thing.name for thing in things) or 'none'}.")
