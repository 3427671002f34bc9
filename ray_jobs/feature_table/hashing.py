"""Reading and hashing new files on the workers, where there are many; a few are read faster than Ray starts."""

from collections.abc import Iterator

import ray

from ray_jobs.dataset.ahead import ahead
from ray_jobs.dataset.build import Finding, examine, examine_here
from ray_jobs.dataset.entry import Source
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.patience import in_turn
from ray_jobs.runtime.tasks import task

FEW = 10_000


class Hashing:
    """Examines files here or, where they are more than FEW, on the Ray at an address."""

    def __init__(self, ray_address: str | None) -> None:
        self._ray_address = ray_address

    def __call__(self, source: Source, rows: Iterator[list[tuple[str, int]]], total: int) -> Iterator[list[Finding]]:
        """What was found in each lot of files, given as (path, size), in the order of the lots."""
        if total <= FEW:
            yield from examine_here(source, rows, total)
            return
        connect(self._ray_address)
        common = ray.put(source)
        yield from in_turn(lambda lot: _examine.remote(common, lot), rows, "reading")


@task(span="read a lot", max_retries=5)
def _examine(source: Source, lot: list[tuple[str, int]]) -> list[Finding]:
    return list(ahead(lambda row: examine(source, *row), lot))
