"""Whether a topology can be built at all, on any platform: said before anything is made."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from infra.spec import HTTP_ATTRIBUTES, SECRETS, Ref, Service, Topology

# AWS Fargate's sizes for Linux: units of CPU, then the least and the most memory and its step, in MiB.
_FARGATE = {
    256: (512, 2048, 512),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024),
    8192: (16384, 61440, 4096),
    16384: (32768, 122880, 8192),
}


class TopologyError(ValueError):
    """A topology that cannot be built; the message has a line for each thing to fix."""


def validate(topology: Topology) -> Topology:
    """The topology itself; raises TopologyError naming every value that is wrong, the limit and the remedy."""
    wrong = [
        *_duplicates(topology),
        *(line for service in topology.services for line in _service(topology, service)),
        *_cycles(topology),
    ]
    if wrong:
        raise TopologyError("The topology cannot be built:\n" + "\n".join(f"- {line}" for line in wrong))
    return topology


def _duplicates(topology: Topology) -> Iterator[str]:
    names = [thing.name for kind in (topology.services, topology.buckets, topology.databases) for thing in kind]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name!r} names {names.count(name)} things; give each service, bucket and database a name of its own."
    images = [image.name for image in topology.images]
    for name in sorted({name for name in images if images.count(name) > 1}):
        yield f"{name!r} names {images.count(name)} images; give each a name of its own."
    public: dict[int, list[str]] = {}
    for service in topology.services:
        numbers = [port.number for port in service.ports]
        for number in sorted({number for number in numbers if numbers.count(number) > 1}):
            yield f"{service.name} listens on port {number} twice; give each of its ports a number of its own."
        for port in service.ports:
            if not 1 <= port.number <= 65535:
                yield f"{service.name} has port {port.number}; ports are 1 to 65535."
            if port.public:
                public.setdefault(port.number, []).append(service.name)
                if service.replicas > 1:
                    yield (
                        f"{service.name} has {service.replicas} replicas and the public port {port.number}, which one "
                        "container can have; make the port private or the replicas 1."
                    )
    for number, owners in public.items():
        if len(owners) > 1:
            yield f"Port {number} is public for {' and '.join(owners)}; change it in all of them but one."


def _service(topology: Topology, service: Service) -> Iterator[str]:
    names = {other.name for other in topology.services}
    for kind, wanted, there in (
        ("image", (service.image,), {image.name for image in topology.images}),
        ("secret", service.secrets, set(topology.secrets)),
        ("bucket", service.buckets, {bucket.name for bucket in topology.buckets}),
        ("database", service.databases, {database.name for database in topology.databases}),
        ("service", service.after, names),
        ("service", service.reached_by, names),
    ):
        for name in wanted:
            if name not in there:
                yield f"{service.name} wants the {kind} {name!r}; there are {', '.join(sorted(there)) or 'none'}."
    for name, path in service.secrets.items():
        if path != f"{SECRETS}/{name}":
            yield f"{service.name} has the secret {name!r} at {path}; every secret stands at {SECRETS}/ and its name."
    yield from (line for ref in service.refs() for line in _ref(topology, service, ref))
    yield from _size(service)


def _ref(topology: Topology, service: Service, ref: Ref) -> Iterator[str]:
    target = next((other for other in topology.services if other.name == ref.target), None)
    if target is None:
        stores = {thing.name for kind in (topology.buckets, topology.databases) for thing in kind}
        if ref.target not in stores:
            yield f"{service.name} refers to {ref.target!r}, which is not a service, bucket or database here."
        elif ref.attribute != "uri":
            yield f"{service.name} refers to {ref.attribute!r} of {ref.target}; a bucket or database has 'uri' only."
        elif ref.target not in (*service.buckets, *service.databases):
            yield f"{service.name} refers to {ref.target} but may not use it; add it to its buckets or databases."
        return
    ports = sorted(port.name for port in target.ports)
    if ref.attribute not in ports and not (ref.attribute in HTTP_ATTRIBUTES and "http" in ports):
        yield f"{service.name} refers to {ref.attribute!r} of {ref.target}; its ports are {', '.join(ports) or 'none'}."
    if service is not target and service.name not in target.reached_by:
        yield f"{service.name} refers to {ref.target} but may not reach it; add it to {ref.target}'s reached_by."


def _size(service: Service) -> Iterator[str]:
    if service.cpu not in _FARGATE:
        yield f"{service.name} has cpu {service.cpu}; it takes {', '.join(map(str, _FARGATE))} (1024 are one core)."
    else:
        least, most, step = _FARGATE[service.cpu]
        # The smallest size knows 512, 1024 and 2048, but not 1536.
        if not least <= service.memory <= most or service.memory % step or (service.cpu, service.memory) == (256, 1536):
            yield (
                f"{service.name} has memory {service.memory} MiB; with cpu {service.cpu} it takes {least} to {most} "
                f"in steps of {step}."
            )
    if service.replicas < 0 or service.processes < 1 or service.stop_timeout < 1:
        yield (
            f"{service.name} has replicas {service.replicas}, processes {service.processes} and stop_timeout "
            f"{service.stop_timeout}; they take at least 0, 1 and 1."
        )
    if service.kept and service.replicas > 1:
        yield (
            f"{service.name} has {service.replicas} replicas and keeps {service.kept[0]}, which they would share; make "
            "the replicas 1, or the folder scratch."
        )
    names = [PurePosixPath(path).name for path in service.kept[1:]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{service.name} keeps {names.count(name)} folders called {name!r}; their volumes would share a name."
    if service.replicas > 1 and not service.several:
        yield f"{service.name} has {service.replicas} replicas; make that 1, or say `several` if it may be many."
    if service.scaling and not service.several:
        yield f"{service.name} scales but may not be many; say `several`, or leave `scaling` out."
    if service.health and bool(service.health.command) == bool(service.health.port and service.health.path):
        yield f"{service.name} has to be checked by a command, or by a port and a path, and not by both."
    if service.once and service.replicas != 1:
        yield f"{service.name} does its work once and has {service.replicas} replicas; make that 1."


def _cycles(topology: Topology) -> Iterator[str]:
    after = {service.name: service.after for service in topology.services}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            yield f"{circle}: each waits for the next; remove one `after`."
        elif name not in done:
            for other in after.get(name, ()):
                yield from visit(other, (*path, name))
            done.add(name)

    for name in after:
        yield from visit(name, ())
