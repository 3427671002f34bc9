"""Waiting for tasks of a cluster without falling silent: whoever follows the job's log learns what it waits for.

A load balancer closes a connection on which nothing is said for a time, and `ray job submit`, which follows the log by
one, then ends in an error though the job goes on. A first worker takes minutes to come.
"""

from collections.abc import Sequence
from typing import Any

import ray

from ray_jobs.runtime.progress import write_line

_EVERY_S = 60.0


def wait(running: Sequence[Any], what: str, *, every: float = _EVERY_S) -> tuple[list[Any], list[Any]]:
    """Wait until one of the tasks has ended; gives those that have and those that have not.

    Until then a line comes every so many seconds, with what is waited for.
    """
    while True:
        finished, rest = ray.wait(list(running), timeout=every)
        if finished:
            return finished, rest
        write_line(f"{what}: {waiting_for(len(rest), ray.cluster_resources().get('CPU', 0))}")


def gather(tasks: Sequence[Any], what: str) -> list[Any]:
    """The results of all tasks in their order, waited for as `wait` does."""
    running = list(tasks)
    while running:
        _, running = wait(running, what)
    return list(ray.get(list(tasks)))


def waiting_for(tasks: int, cores: float) -> str:
    """What tasks wait for that have not ended, on a cluster that has so many cores for them."""
    if cores:
        return f"waiting for tasks; {tasks:,} run or wait for their turn, on {cores:g} cores"
    return (
        f"waiting for a first worker, with tasks: {tasks:,}. Where workers follow the work, it takes some minutes; "
        "elsewhere start one: ray start --address HOST:6379"
    )
