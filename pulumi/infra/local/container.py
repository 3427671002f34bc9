"""What every container of one machine has in common, however it is started."""

from pathlib import PurePosixPath
from typing import Any

from infra.spec import Health, Service

LOOPBACK = "127.0.0.1"
HARDENED_SECURITY = ("no-new-privileges:true",)
# Docker keeps a container's log for ever unless it is told otherwise.
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}


def volume_of(service: Service, path: str) -> str:
    """The name of the volume that keeps a folder of a service, without the project's prefix."""
    return service.name if path == service.kept[0] else f"{service.name}-{PurePosixPath(path).name}"


def scratch_options(service: Service) -> str:
    """Options of a folder in memory, which counts towards the container's limit: half of it at most."""
    return f"mode=1777,size={service.memory // 2}m"


def health(check: Health | None, *, command_key: str) -> dict[str, Any] | None:
    """A health check, under the key that the platform has for the command."""
    if check is None:
        return None
    return {
        command_key: ["CMD", *check.command],
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
