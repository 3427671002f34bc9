"""Whether there is memory for one more model, before it is loaded: a container that has none left is killed."""

from pathlib import Path

from registry.errors import ArtefactError

_GROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
SPARE = 256 * 2**20


def check_memory(least: int = SPARE, *, group: Path = _GROUP, machine: Path = _MEMORY) -> None:
    """Raise ArtefactError where fewer bytes than `least` are free, in this container or on this machine."""
    free = free_memory(group=group, machine=machine)
    if free is not None and free < least:
        raise ArtefactError(
            f"{free >> 20} MiB of memory are free, and a second model is loaded only where {least >> 20} MiB are; "
            "give the webapp more"
        )


def free_memory(*, group: Path = _GROUP, machine: Path = _MEMORY) -> int | None:
    """Bytes that this process could still take; None where the system does not say."""
    found = [free for free in (_in_group(group), _on_machine(machine)) if free is not None]
    return min(found, default=None)


def _in_group(group: Path) -> int | None:
    """What the limit of a control group (version 2) leaves; file pages that can be given back are counted as free."""
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        counters = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return None if most == "max" else int(most) - used + int(counters.get("inactive_file", 0))
    except (OSError, ValueError):
        return None


def _on_machine(machine: Path) -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in machine.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None
