"""What every benchmark says: what it was measured on, what was used of the processor, and whether promises are kept."""

import contextlib
import os
import platform
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psutil


def machine() -> str:
    """What it is measured on."""
    packages = ("ray", "joblib", "scikit-image", "opencv-python-headless", "numpy", "pyarrow")
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.platform()}, load {os.getloadavg()[0]:.1f} before\n"
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages)
    )


def facts() -> dict[str, str | int]:
    """The same in parts, as the results keep it."""
    names = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", names.read_text()) if names.exists() else None
    return {
        "cores": os.cpu_count() or 1,
        "processor": found[1].strip() if found else platform.machine(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
    }


def processor_s(process: psutil.Process) -> float:
    """Seconds of a core that a process and its children have used: what else a machine does changes it little."""
    used = 0.0
    for member in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # one may end meanwhile
            times = member.cpu_times()
            used += times.user + times.system
    return used


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def last_line(text: str) -> str:
    """What a program said last; empty where it said nothing."""
    return (text.strip().splitlines() or [""])[-1]


def verdict(promises: list[tuple[str, float, str, float]]) -> int:
    """Print a line a promise; 1 if one is not kept."""
    kept = [value >= limit if relation == ">=" else value <= limit for _, value, relation, limit in promises]
    print(f"\n{'claim':<50}{'measured':>10}{'required':>11}")
    for (name, value, relation, limit), fine in zip(promises, kept, strict=True):
        print(f"{name:<50}{value:>10.2f}{f'{relation} {limit:g}':>11}  {'pass' if fine else 'FAIL'}")
    return int(not all(kept))
