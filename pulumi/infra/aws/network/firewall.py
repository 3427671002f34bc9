"""Who may connect to whom, as plain data: read from the topology's `reached_by`, and refused to everybody else."""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.aws.lower import NOTEBOOK
from infra.aws.names import DATABASE, EDGE, ENDPOINTS
from infra.spec import Topology

_POSTGRES = 5432
_UNPRIVILEGED = (1024, 65535)


@dataclass(frozen=True, order=True)
class Opening:
    """TCP ports of one group that another group may connect to."""

    to: str
    source: str
    first: int
    last: int
    reason: str


def groups(topology: Topology, *, endpoints: bool) -> tuple[str, ...]:
    """A security group for each service, the notebook being one, and for what AWS runs itself."""
    return (*(service.name for service in topology.services), EDGE, DATABASE, *([ENDPOINTS] if endpoints else []))


def openings(topology: Topology, *, endpoints: bool) -> list[Opening]:
    """Every way from one group to another."""
    return sorted({*_to_services(topology), *_to_stores(topology, endpoints=endpoints)})


def _to_services(topology: Topology) -> Iterator[Opening]:
    for service in topology.services:
        for source in service.reached_by:
            if service.name in topology.service(source).reached_by:
                # Ray's nodes talk to one another's workers, at ports that the kernel gives them.
                yield Opening(service.name, source, *_UNPRIVILEGED, f"{source} and {service.name} are peers")
                continue
            for port in service.ports:
                yield Opening(service.name, source, port.number, port.number, f"{source} uses {port.name}")
        if service.name != NOTEBOOK and (port_number := service.public_port):
            yield Opening(service.name, EDGE, port_number, port_number, "The load balancer forwards requests of people")


def _to_stores(topology: Topology, *, endpoints: bool) -> Iterator[Opening]:
    for service in topology.services:
        if service.databases:
            yield Opening(DATABASE, service.name, _POSTGRES, _POSTGRES, f"{service.name} keeps its records there")
        if endpoints:
            yield Opening(ENDPOINTS, service.name, 443, 443, f"{service.name} calls AWS")
