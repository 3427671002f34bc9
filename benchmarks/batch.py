"""How many X-rays a second `ray_jobs.predict` scores on every core, beside one core that scores one after another."""

from pathlib import Path

import cv2
import ray
from threadpoolctl import threadpool_limits

from benchmarks.report import timed
from benchmarks.results import Measured, Series
from ray_jobs.dataset.sources import open_source
from ray_jobs.predict import BATCH, ScoringJob, score
from ray_jobs.runtime.cluster import connect, cpus
from registry.model.bundle import Bundle
from registry.state import open_state

ROUNDS = 5
EACH = 4  # batches for a core, so that none waits long for the last one


def batch(bundle: Bundle, digest: str, pictures: list[bytes], scratch: Path, rounds: int | None = None) -> Measured:
    """X-rays a second by the job on every core, and by one core times the cores, round by round in turn.

    The job also lists, reads and writes; one core only scores bytes. Starting Ray is not counted.
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

    def by_one_core() -> None:
        cv2.setNumThreads(1)
        with threadpool_limits(1):
            for number in range(count // cores):
                bundle.score(pictures[number % len(pictures)])

    try:
        by_the_job(-1)  # workers start, and import, before they are timed
        taken: Series = {"ray": [], "one": []}
        for number in range(rounds or ROUNDS):
            taken["ray"].append(count / timed(lambda number=number: by_the_job(number)))
            taken["one"].append(count / timed(by_one_core))
    finally:
        ray.shutdown()
    return Measured(series={"batch": taken})
