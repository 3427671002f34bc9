"""What every container of one machine has in common, however it is started."""

import platform
from pathlib import PurePosixPath
from typing import Any

from infra.spec import HealthCheck, Service

LOOPBACK = "127.0.0.1"
HARDENED_SECURITY = ("no-new-privileges:true",)
# Docker keeps a container's log forever unless it is told otherwise.
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def native_platform() -> str:
    """The platform of this machine's containers, `linux/amd64` or `linux/arm64`; any other under its own name."""
    machine = platform.machine().lower()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def volume_of(service: Service, path: str) -> str:
    """The name of the volume that keeps a folder of a service, without the project's prefix."""
    return service.name if path == service.kept[0] else f"{service.name}-{PurePosixPath(path).name}"


def scratch_options(service: Service) -> str:
    """Options of a folder in memory, which counts towards the container's limit: half of it for all of them."""
    return f"mode=1777,size={service.scratch_mib}m"


def health(check: HealthCheck | None, *, command_key: str) -> dict[str, Any] | None:
    """A health check, under the key that the platform has for the command."""
    if check is None:
        return None
    return {
        command_key: ["CMD", *check.words],
        "interval": duration(check.interval),
        "timeout": duration(check.timeout),
        "retries": check.retries,
        "start_period": duration(check.start_period),
    }


def duration(seconds: int) -> str:
    """Seconds as Docker itself writes them, `1h0m5s`: another spelling would look like a change at every update."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h" * bool(hours) + f"{minutes}m" * bool(hours or minutes) + f"{rest}s"
