"""A topology as a Compose file: services, networks, volumes and secrets as Compose's specification names them."""

from typing import Any

from infra.local.container import (
    HARDENED_SECURITY,
    LOG_OPTIONS,
    LOOPBACK,
    duration,
    health,
    scratch_options,
    volume_of,
)
from infra.local.lower import lower, networks
from infra.spec import Service, Topology

_SECRETS_FOLDER = "./secrets"


def compose(topology: Topology) -> dict[str, Any]:
    """The whole file, as the dictionary that YAML is written from. Paths are relative to `compose/`."""
    whole = lower(topology)
    on = networks(whole)
    volumes = [volume_of(service, path) for service in whole.services for path in service.kept]
    return {
        "name": whole.project,
        "services": {service.name: service_entry(whole, service, on[service.name]) for service in whole.services},
        "networks": dict.fromkeys(name for names in on.values() for name in names),
        "volumes": dict.fromkeys(volumes),
        "secrets": {name: {"file": f"{_SECRETS_FOLDER}/{name}"} for name in whole.secrets},
    }


def service_entry(topology: Topology, service: Service, on: tuple[str, ...]) -> dict[str, Any]:
    """One service, without the keys that would say nothing."""
    return {key: value for key, value in _keys(topology, service, on).items() if value not in (None, "", [], {})}


def _keys(topology: Topology, service: Service, on: tuple[str, ...]) -> dict[str, Any]:
    return {
        **_image(topology, service),
        "profiles": [service.optional] if service.optional else [],
        "command": list(service.command),
        "environment": dict(service.environment),
        "secrets": [{"source": name, "target": path} for name, path in service.secrets.items()],
        "ports": [f"{LOOPBACK}:{port.number}:{port.number}" for port in service.ports if port.public],
        "expose": [str(port.number) for port in service.ports if not port.public],
        "healthcheck": health(service.health, command_key="test"),
        "depends_on": {name: {"condition": _condition(topology.service(name))} for name in service.after},
        "networks": list(on),
        "volumes": [f"{volume_of(service, path)}:{path}" for path in service.kept],
        "tmpfs": [f"{path}:{scratch_options(service)}" for path in service.scratch],
        "user": service.user,
        "cpu_shares": service.cpu,
        "mem_limit": f"{service.memory}m",
        "memswap_limit": f"{service.memory}m",  # memory and swap together: no swap
        "pids_limit": service.processes,
        "scale": service.replicas if service.replicas != 1 else None,
        "restart": "no" if service.once else "unless-stopped",
        "stop_grace_period": duration(service.stop_timeout),
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": list(HARDENED_SECURITY),
        "logging": {"driver": "json-file", "options": dict(LOG_OPTIONS)},
    }


def _image(topology: Topology, service: Service) -> dict[str, Any]:
    """The image, and in the first of the services that share it how it is built: twice at once would make two.

    What is built here is never asked of a registry, where anybody could have put an image of that name.
    """
    image = topology.image(service.image)
    if image.public:
        return {"image": image.public}
    ours = {"image": f"{topology.project}/{image.name}", "pull_policy": "never"}
    if service is not next(other for other in topology.services if other.image == image.name):
        return ours
    build = {"context": "..", "dockerfile": f"compose/images/{image.dockerfile}", "target": image.target}
    commit = {"args": {"GIT_COMMIT": "${GIT_COMMIT:-unknown}"}} if image.target else {}
    return ours | {"build": {key: value for key, value in (build | commit).items() if value}}


def _condition(service: Service) -> str:
    if service.once:
        return "service_completed_successfully"
    return "service_healthy" if service.health else "service_started"
