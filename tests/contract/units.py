"""Docker's spellings of durations, sizes and checks, read back."""

import re
from typing import Any

from infra.spec import HealthCheck


def seconds(duration: str) -> int:
    """Docker's spelling of a duration, `1m30s`, in seconds."""
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(\d+)s", duration).groups()
    return int(minutes or 0) * 60 + int(rest)


def mebibytes(size: str) -> int:
    """Docker's spelling of a size, `64m`, in MiB."""
    return int(re.fullmatch(r"(\d+)m", size)[1])


def scratch(path: str, options: str) -> tuple[str, tuple[str, int]]:
    """A folder in memory: its path, and the mode and the size in MiB."""
    mode, size = re.fullmatch(r"mode=(\d+),size=(\w+)", options).groups()
    return path, (mode, mebibytes(size))


def health(check: dict[str, Any] | None, *, command: str, start_period: str = "start_period") -> HealthCheck | None:
    """A health check, from the platform's dictionary."""
    if check is None:
        return None
    kind, *words = check[command]
    assert kind == "CMD"
    return HealthCheck(
        command=tuple(words),
        interval=seconds(check["interval"]),
        timeout=seconds(check["timeout"]),
        retries=check["retries"],
        start_period=seconds(check[start_period]),
    )
