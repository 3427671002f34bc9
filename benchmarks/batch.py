"""How many X-rays a second `ray_jobs.predict` scores, beside as many processes as cores that only score."""

from pathlib import Path

import cv2
import ray

from benchmarks.report import timed
from benchmarks.results import Measured, Series
from ray_jobs.dataset.sources import open_source
from ray_jobs.runtime.cluster import connect, cpus
from ray_jobs.scoring import BATCH, ScoringJob, score
from registry.model.bundle import Bundle
from registry.state import open_state

ROUNDS = 5
EACH = 6  # batches for a core, so that none waits long for the last one, and what is done once counts little


def batch(bundle: Bundle, digest: str, pictures: list[bytes], scratch: Path, rounds: int | None = None) -> Measured:
    """X-rays a second by the job, and by a process on each core that has the bytes already, round by round in turn.

    The processes run at once, since two cores that share one unit do less than twice the work of one. The job also
    lists, reads and writes. Starting Ray is not counted.
    """
    connect(None)
    cores = cpus()
    count = EACH * BATCH * cores
    folder = scratch / "scored"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05d}.jpeg").write_bytes(pictures[number % len(pictures)])
    source = open_source(str(folder))

    def by_the_job(number: int) -> None:
        job = ScoringJob.of(source, bundle, 1, digest, open_state(str(scratch / f"scores-{number}")))
        found = sum(rows.num_rows - rows["probability"].null_count for rows in score(job, ray_address=None))
        if found != count:
            raise RuntimeError(f"{found} of {count} X-rays were scored")

    given = ray.put((bundle, pictures))

    def alone() -> None:
        ray.get([_score.remote(given, count // cores) for _ in range(cores)])

    try:
        by_the_job(-1)  # workers start, and import, before they are timed
        taken: Series = {"ray": [], "alone": []}
        for number in range(rounds or ROUNDS):
            taken["ray"].append(count / timed(lambda number=number: by_the_job(number)))
            taken["alone"].append(count / timed(alone))
    finally:
        ray.shutdown()
    return Measured(series={"batch": taken})


@ray.remote
def _score(given: tuple[Bundle, list[bytes]], count: int) -> None:
    """Score some pictures one after another."""
    cv2.setNumThreads(1)
    bundle, pictures = given
    for number in range(count):
        bundle.score(pictures[number % len(pictures)])
