"""A lowered service as ECS's task definition and service, all plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.spec import SECRETS, Health, Service

# The user of each image; ECS says it once more, so that no image can run as root there.
USERS = {"mlflow": "10003", "model": "10001", "webapp": "10002"}
# Folders in memory take no programs; the smallest one is for secrets.
_SCRATCH_OPTIONS = ("nosuid", "nodev", "noexec")
_SECRETS_MIB = 1
# The patience of the load balancer with a container that has just started.
GRACE_S = 180


@dataclass(frozen=True, kw_only=True)
class Supplied:
    """What only the platform knows: the image by its digest, secrets by their ARNs, and where logs go."""

    image: str
    secrets: Mapping[str, str]
    log_group: str
    region: str


def task_definition(service: Service, *, family: str) -> dict[str, Any]:
    """The arguments of a task definition, all but roles and containers."""
    return {
        "family": family,
        "requires_compatibilities": ["FARGATE"],
        "network_mode": "awsvpc",
        "cpu": str(service.cpu),
        "memory": str(service.memory),
        "runtime_platform": {"operating_system_family": "LINUX", "cpu_architecture": "X86_64"},
    }


def container_definition(service: Service, supplied: Supplied) -> dict[str, Any]:
    """The one container of a task, as ECS's API spells it, without the keys that would say nothing."""
    definition = {
        "name": service.name,
        "image": supplied.image,
        "essential": True,
        "command": list(service.command),
        "environment": [{"name": name, "value": value} for name, value in sorted(service.environment.items())],
        "secrets": [{"name": variable(name), "valueFrom": supplied.secrets[name]} for name in sorted(service.secrets)],
        "portMappings": [
            {"name": port.name, "containerPort": port.number, "protocol": "tcp"} for port in service.ports
        ],
        "healthCheck": _health(service.health),
        "user": service.user or USERS[service.image],
        "readonlyRootFilesystem": True,
        "privileged": False,
        "linuxParameters": {
            "initProcessEnabled": True,
            "capabilities": {"drop": ["ALL"]},
            "tmpfs": _scratch(service),
        },
        "stopTimeout": service.stop_timeout,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": supplied.log_group,
                "awslogs-region": supplied.region,
                "awslogs-stream-prefix": service.name,
                "mode": "non-blocking",  # a slow log does not stop the service
                "max-buffer-size": "4m",
            },
        },
    }
    return {key: value for key, value in definition.items() if value not in (None, [])}


def service_arguments(service: Service, *, name: str, several: bool) -> dict[str, Any]:
    """The arguments of an ECS service, all but where it stands; of one without `several` there is never a second."""
    arguments = {
        "name": name,
        "desired_count": service.replicas,
        "launch_type": "FARGATE",
        "platform_version": "LATEST",
        "deployment_minimum_healthy_percent": 100 if several else 0,
        "deployment_maximum_percent": 200 if several else 100,
        # Spreading tasks anew over the zones starts one before it stops one.
        "availability_zone_rebalancing": "ENABLED" if several else "DISABLED",
        "deployment_circuit_breaker": {"enable": True, "rollback": True},
        "enable_execute_command": False,
        "enable_ecs_managed_tags": True,
        "propagate_tags": "SERVICE",
        "wait_for_steady_state": True,
    }
    return arguments | ({"health_check_grace_period_seconds": GRACE_S} if public_port(service) else {})


def public_port(service: Service) -> int | None:
    """The port that people reach through the load balancer."""
    return next((port.number for port in service.ports if port.public), None)


def variable(secret: str) -> str:
    """The variable by which ECS hands a secret over; the images' entrypoint makes a file of it."""
    return "SECRET_" + secret.upper().replace("-", "_")


def _scratch(service: Service) -> list[dict[str, Any]]:
    folders = dict.fromkeys(service.scratch, service.memory // 2) | ({SECRETS: _SECRETS_MIB} if service.secrets else {})
    return [
        {"containerPath": path, "size": size, "mountOptions": list(_SCRATCH_OPTIONS)} for path, size in folders.items()
    ]


def _health(check: Health | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "command": ["CMD", *check.command],
        "interval": check.interval,
        "timeout": check.timeout,
        "retries": check.retries,
        "startPeriod": check.start_period,
    }
