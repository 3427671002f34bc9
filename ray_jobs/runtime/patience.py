"""Waiting for tasks of a cluster without falling silent: whoever follows the job's log learns what it waits for.

A load balancer closes a connection on which nothing is said for a time, and `ray job submit`, which follows the log by
one, then ends in an error though the job goes on. A first worker takes minutes to come.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import ray

from ray_jobs.runtime.cluster import cpus
from ray_jobs.runtime.progress import write_line

T = TypeVar("T")

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


def in_turn(start: Callable[[T], Any], items: Iterable[T], what: str) -> Iterator[Any]:
    """The results of the tasks that `start` begins on items, in their order, waited for as `wait` does.

    Only a few are ahead of the workers, so only a few results are in memory.
    """
    waiting = iter(items)
    running = [start(item) for item in islice(waiting, 3 * cpus())]
    while running:
        [done], _ = wait([running.pop(0)], what)
        result = ray.get(done)
        running += [start(item) for item in islice(waiting, 1)]
        yield result


def waiting_for(tasks: int, cores: float) -> str:
    """What tasks wait for that have not ended, on a cluster that has so many cores for them."""
    if cores:
        return f"waiting for tasks; {tasks:,} run or wait for their turn, on {cores:g} cores"
    return (
        f"waiting for a first worker, with tasks: {tasks:,}. Where workers follow the work, it takes some minutes; "
        "elsewhere start one: ray start --address HOST:6379"
    )
