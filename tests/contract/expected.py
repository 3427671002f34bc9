"""What a topology says of a service, fact by fact: every renderer has to say the same."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from infra.local.container import native_platform, volume_of
from infra.local.lower import networks
from infra.settings import ROOT
from infra.spec import HealthCheck, Ref, Service, Topology, Value

LOOPBACK = "127.0.0.1"
# What RDS alone knows.
CREDENTIALS = "[default]\naws_access_key_id = hm-mlflow\naws_secret_access_key = value of object-store-password\n"
KNOWN = {
    Ref("database", "uri"): "postgresql+psycopg2://mlflow@database.example:5432/mlflow",
    Ref("database", "secret"): "arn of the database's password",
}


def image(topology: Topology, service: Service) -> Any:
    """The image; of a public one only its public name is known to others."""
    used = topology.image(service.image)
    return replace(used, name="") if used.public else replace(used, user=None)


def built(topology: Topology, service: Service) -> Any:
    """What an image is built from: the folder, and whether the commit stands in it."""
    used = topology.image(service.image)
    return None if used.public else {"context": ROOT, "commit": bool(used.target)}


def text(value: Value) -> str:
    """A value as a container finds it; what the lowering has left, as RDS would tell it."""
    return KNOWN[value] if isinstance(value, Ref) else value


def fingerprint(service: Service) -> str:
    """A digest of what a service's secrets say."""
    contents = [CREDENTIALS if name.endswith("credentials") else f"value of {name}" for name in sorted(service.secrets)]
    return hashlib.sha256("\0".join(contents).encode()).hexdigest() if contents else ""


def ready(service: Service) -> str:
    """When those that wait for a service may start."""
    if service.once:
        return "ended well"
    return "healthy" if service.health else "started"


def health(service: Service) -> HealthCheck | None:
    """The check as a command, which is all that a container's platform knows of."""
    return service.health and replace(service.health, command=service.health.words, port=0, path="")


def needs(topology: Topology, service: Service) -> set[str]:
    """What has to be there before a container, beside other containers."""
    return {
        *(f"Network {name}" for name in networks(topology)[service.name]),
        *(f"Volume {topology.project}-{volume_of(service, path)}" for path in service.kept),
        *(["Container secrets"] if service.secrets else []),
        ("RemoteImage " if topology.image(service.image).public else "Image ") + service.image,
    }


def provider(topology: Topology, service: Service) -> dict[str, Any]:
    """What only Pulumi's provider asks of an image."""
    if topology.image(service.image).public:
        return {"keepLocally": True}
    return {
        "platform": native_platform(),
        "builderVersion": "BuilderBuildKit",
        "skipPush": True,
        "buildOnPreview": False,
    }


def fargate(topology: Topology, service: Service) -> dict[str, Any]:
    """What only ECS asks for: a size and a platform, numbers for users, and how a new version takes over."""
    several = service.several
    options = ["nosuid", "nodev", "noexec"]
    folders = [*((path, service.memory // 2 // len(service.scratch)) for path in service.scratch)]
    folders += [("/run/secrets", 1)] if service.secrets else []
    takeover = {
        "name": f"hm-mlflow-{service.name}",
        "launch_type": "FARGATE",
        "platform_version": "LATEST",
        "deployment_minimum_healthy_percent": 100 if several else 0,
        "deployment_maximum_percent": 200 if several else 100,
        "availability_zone_rebalancing": "ENABLED" if several and not service.follows("work") else "DISABLED",
        "deployment_circuit_breaker": {"enable": True, "rollback": True},
        "enable_execute_command": False,
        "enable_ecs_managed_tags": True,
        "propagate_tags": "SERVICE",
        "wait_for_steady_state": True,
    } | ({"health_check_grace_period_seconds": 180} if any(port.public for port in service.ports) else {})
    return {
        "task": {
            "family": f"hm-mlflow-{service.name}",
            "requires_compatibilities": ["FARGATE"],
            "network_mode": "awsvpc",
            "runtime_platform": {"operating_system_family": "LINUX", "cpu_architecture": "X86_64"},
        },
        "names": service.name,
        "essential": True,
        "memory": service.memory,
        "user": str(topology.image(service.image).user),
        "privileged": False,
        "ports": [(port.name, port.number, "tcp") for port in service.ports],
        "scratch": [(path, size, options) for path, size in folders],
        "log": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": f"/ecs/hm-mlflow-{service.name}",
                "awslogs-region": "eu-west-1",
                "awslogs-stream-prefix": service.name,
                "mode": "non-blocking",
                "max-buffer-size": "4m",
            },
        },
        "service": {} if service.once else takeover,
    }


def patience(_: Topology, service: Service) -> int:
    """Seconds: no less than Docker itself gives a start."""
    check = service.health
    return max(180, check.start_period + check.retries * (check.interval + check.timeout)) if check else 180


EXPECTED: Mapping[str, Callable[[Topology, Service], Any]] = {
    "image": image,
    "built": built,
    "command": lambda _, service: service.command,
    "environment": lambda _, service: {name: text(value) for name, value in service.environment.items()},
    "secrets": lambda _, service: {path: name for name, path in service.secrets.items()},
    "public ports": lambda _, service: {port.number: (LOOPBACK, port.number) for port in service.ports if port.public},
    "private ports": lambda _, service: {port.number for port in service.ports if not port.public},
    "health": lambda _, service: health(service),
    "ready": lambda _, service: ready(service),
    "after": lambda topology, service: {name: ready(topology.service(name)) for name in service.after},
    # Each network, and the name that the service has on it.
    "networks": lambda topology, service: dict.fromkeys(networks(topology)[service.name], service.name),
    "kept": lambda _, service: {path: volume_of(service, path) for path in service.kept},
    "scratch": lambda _, service: {
        path: ("1777", service.memory // 2 // len(service.scratch)) for path in service.scratch
    },
    "user": lambda _, service: service.user,
    "cpu": lambda _, service: service.cpu,
    "memory": lambda _, service: service.memory,
    "swap": lambda *_: 0,
    "processes": lambda _, service: service.processes,
    "replicas": lambda _, service: service.replicas,
    "once": lambda _, service: service.once,
    "optional": lambda _, service: service.optional,
    "stop timeout": lambda _, service: service.stop_timeout,
    # The same for every container.
    "init": lambda *_: True,
    "root read-only": lambda *_: True,
    "capabilities dropped": lambda *_: ["ALL"],
    "security": lambda *_: ["no-new-privileges:true"],
    "log": lambda *_: {"driver": "json-file", "max-size": "10m", "max-file": "3"},
    # What only a platform with a state of its own has to say.
    "needs": needs,
    "outlives the stack": lambda _, service: set(service.kept),
    "replaced": lambda *_: "after the old one is gone",
    "patience": patience,
    "follows its secrets": lambda _, service: fingerprint(service),
    "secrets carrier": lambda *_: CARRIER,
    "docker provider": provider,
    "image name": lambda _, service: service.image,
    "fargate": fargate,
}

# Of the service's fields, those that are no fact of their own, and what becomes of them.
USED_UP = {
    "host": "is the name in the addresses; see tests/infra/aws/test_stack.py",
    "several": "`fargate`, and the names of containers on one machine",
    "scaling": "on AWS alone: see tests/infra/aws/test_stack.py",
    "interruptible": "on AWS alone, where an environment saves: see tests/infra/test_topology.py",
    "alarms": "on AWS alone: see tests/infra/aws/watch/test_monitoring.py",
    "name": "is how a service is found",
    "ports": "public ports, private ports",
    "buckets": "environment, secrets and after, by the lowering",
    "databases": "after, by the lowering",
    "reached_by": "networks",
    "stop_timeout": "stop timeout",
}

# The container that only carries secrets into volumes: it runs nothing, reaches nobody, and ends.
CARRIER = {
    "name": "hm-mlflow-secrets",
    "image": "id of mlflow",
    "entrypoints": ["true"],
    "user": "root",
    "mustRun": False,
    "attach": True,
    "restart": "no",
    "networkMode": "none",
    "memory": 64,
    "memorySwap": 64,
    "capabilities": {"drops": ["ALL"]},
    "securityOpts": ["no-new-privileges:true"],
    "logDriver": "json-file",
    "logOpts": {"max-size": "10m", "max-file": "3"},
    "needs": ["Image mlflow"],
    "deleted first": True,
}
