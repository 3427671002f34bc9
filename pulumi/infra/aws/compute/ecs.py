"""A lowered service as ECS's task definition and service, all plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.spec import SECRETS, HealthCheck, Ref, Service, Value

# Folders in memory take no programs; the smallest one is for secrets.
_SCRATCH_OPTIONS = ("nosuid", "nodev", "noexec")
_SECRETS_MIB = 1
# The patience of the load balancer with a container that has just started.
GRACE_S = 180
# Capacity that AWS has to spare.
SPOT = "FARGATE_SPOT"


@dataclass(frozen=True, kw_only=True)
class Supplied:
    """What only the platform knows: the image by its digest, secrets by their ARNs, where logs go.

    `secrets` name a version each; `user` is the number of the image's user; `known` has the text of each reference that
    the lowering has left.
    """

    image: str
    user: int
    secrets: Mapping[str, str]
    log_group: str
    region: str
    known: Mapping[Ref, str] = field(default_factory=dict)

    def text(self, value: Value) -> str:
        """A value with its reference resolved."""
        return self.known[value] if isinstance(value, Ref) else value


def task_definition(service: Service, *, family: str, architecture: str = "X86_64") -> dict[str, Any]:
    """The arguments of a task definition, all but roles and containers."""
    return {
        "family": family,
        "requires_compatibilities": ["FARGATE"],
        "network_mode": "awsvpc",
        "cpu": str(service.cpu),
        "memory": str(service.memory),
        "runtime_platform": {"operating_system_family": "LINUX", "cpu_architecture": architecture},
    }


def container_definition(service: Service, supplied: Supplied, *, beside: int = 0) -> dict[str, Any]:
    """The container of a service, as ECS's API spells it, without the keys that would say nothing.

    Its memory is the task's less the MiB of those `beside` it: without a limit of its own it would see the host's.
    """
    definition = {
        "name": service.name,
        "image": supplied.image,
        "essential": True,
        "memory": service.memory - beside,
        "command": [supplied.text(value) for value in service.command],
        "environment": [
            {"name": name, "value": supplied.text(value)} for name, value in sorted(service.environment.items())
        ],
        "secrets": [{"name": variable(name), "valueFrom": supplied.secrets[name]} for name in sorted(service.secrets)],
        "portMappings": [
            {"name": port.name, "containerPort": port.number, "protocol": "tcp"} for port in service.ports
        ],
        "healthCheck": _health(service.health),
        "user": str(supplied.user),
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


def service_arguments(service: Service, *, name: str, spare: bool = True, spot: bool = False) -> dict[str, Any]:
    """The arguments of an ECS service, all but where it stands.

    Of one that is not `several` there is never a second one, not even during an update: a second Ray head would be a
    second cluster, and two MLflow servers would migrate the database at once.
    Without `spare` an update stops the old ones of every service first. With `spot` it runs on capacity to spare.
    """
    overlapping = service.several and spare
    arguments = {
        "name": name,
        "desired_count": service.replicas,
        "platform_version": "LATEST",
        "deployment_minimum_healthy_percent": 100 if overlapping else 0,
        "deployment_maximum_percent": 200 if overlapping else 100,
        # Spreading tasks again over the zones starts one before it stops one, which may be at work.
        "availability_zone_rebalancing": "ENABLED" if overlapping and not service.follows("work") else "DISABLED",
        "deployment_circuit_breaker": {"enable": True, "rollback": True},
        "enable_execute_command": False,
        "enable_ecs_managed_tags": True,
        "propagate_tags": "SERVICE",
        "wait_for_steady_state": True,
    }
    # ECS takes another capacity for a service that runs only with a new deployment.
    spared = {"capacity_provider_strategies": [{"capacity_provider": SPOT, "weight": 1}], "force_new_deployment": True}
    arguments |= spared if spot else {"launch_type": "FARGATE"}
    return arguments | ({"health_check_grace_period_seconds": GRACE_S} if service.public_port else {})


def variable(secret: str) -> str:
    """The variable by which ECS hands a secret over; the images' entrypoint makes a file of it."""
    return "SECRET_" + secret.upper().replace("-", "_")


def _scratch(service: Service) -> list[dict[str, Any]]:
    folders = dict.fromkeys(service.scratch, service.scratch_mib) | ({SECRETS: _SECRETS_MIB} if service.secrets else {})
    return [
        {"containerPath": path, "size": size, "mountOptions": list(_SCRATCH_OPTIONS)} for path, size in folders.items()
    ]


def _health(check: HealthCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "command": ["CMD", *check.words],
        "interval": check.interval,
        "timeout": check.timeout,
        "retries": check.retries,
        "startPeriod": check.start_period,
    }
