"""A service as the arguments of `pulumi_docker.Container`, all plain values."""

from collections.abc import Iterator
from typing import Any

from infra.local.container import HARDENED_SECURITY, LOG_OPTIONS, LOOPBACK, health, scratch_options, volume_of
from infra.spec import SECRETS, HealthCheck, Service, Topology

_WAIT_S = 180
# The provider has no argument for Docker's limit on processes. The kernel's limit for a user serves; it counts the
# user's processes in all containers, so several of the same image have to fit under it.
SHARED_BY = 8


def containers(topology: Topology, service: Service, on: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The arguments of each replica's container: all but its image, which is only known when it has been built."""
    for index in range(1, service.replicas + 1):
        name = f"{topology.project}-{service.name}" + (f"-{index}" if replicated(service) else "")
        yield container(topology, service, on, name=name)


def replicated(service: Service) -> bool:
    """Whether there may be several on one machine, which has each port once. One more does not rename the first."""
    return service.several and service.public_port is None and not service.kept


def container(topology: Topology, service: Service, on: tuple[str, ...], *, name: str) -> dict[str, Any]:
    """The arguments of one container."""
    limit = SHARED_BY * service.processes
    secret_mount = (
        [{"volume_name": secret_volume(topology, service), "container_path": SECRETS, "read_only": True}]
        if service.secrets
        else []
    )
    return {
        "name": name,
        "command": list(service.command) or None,
        "envs": sorted(f"{variable}={value}" for variable, value in service.environment.items()),
        "ports": [
            {"internal": port.number, "external": port.number, "ip": LOOPBACK} for port in service.ports if port.public
        ],
        "healthcheck": health(service.health, command_key="tests"),
        "networks_advanced": [{"name": f"{topology.project}-{name}", "aliases": [service.name]} for name in on],
        "volumes": [
            *(
                {"volume_name": f"{topology.project}-{volume_of(service, path)}", "container_path": path}
                for path in service.kept
            ),
            *secret_mount,
        ],
        "tmpfs": {path: scratch_options(service) for path in service.scratch},
        "user": service.user or None,
        "cpu_shares": service.cpu,
        "memory": service.memory,
        "memory_swap": service.memory,  # memory and swap together: no swap
        "ulimits": [{"name": "nproc", "soft": limit, "hard": limit}],
        "restart": "no" if service.once else "unless-stopped",
        "must_run": not service.once,
        "attach": service.once,  # whoever waits for it waits for its end
        "wait": service.health is not None,
        "wait_timeout": _patience(service.health),
        "stop_timeout": service.stop_timeout,
        "destroy_grace_seconds": service.stop_timeout,
        "init": True,
        "read_only": True,
        "capabilities": {"drops": ["ALL"]},
        "security_opts": list(HARDENED_SECURITY),
        "log_driver": "json-file",
        "log_opts": dict(LOG_OPTIONS),
    }


def _patience(check: HealthCheck | None) -> int:
    """The seconds for which others wait for a container: until Docker itself would call it unhealthy, if not longer."""
    return max(_WAIT_S, check.start_period + check.retries * (check.interval + check.timeout)) if check else _WAIT_S


def secret_volume(topology: Topology, service: Service) -> str:
    """The name of the volume that holds a service's secrets and nothing else."""
    return f"{topology.project}-{service.name}-secrets"
