"""How long, at what cost, and what limits first: 10⁴ to 10⁹ X-rays on N workers, some of which are taken away.

``python -m benchmarks.scaling`` prints the tables of docs/scaling.md from the unit costs in `Costs`, which
`benchmarks.scaling_measured` measures on the real code and compares with whole runs. Extraction is simulated event by
event, because lost workers make it random; everything else is arithmetic.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ray_jobs.dataset.ahead import THREADS
from ray_jobs.dataset.key_ranges import REQUESTS
from ray_jobs.dataset.manifest import digits_for
from registry.settings import Settings

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one image or one task costs, in seconds of one core, bytes or dollars; measured unless it says assumed."""

    extract: float = 5.8e-3  # 224 pixels a side; 15e-3 for originals
    manifest_row: float = 0.2e-3  # reading it here, catalogue, digest and Parquet, on the driver
    hash_byte: float = 0.8e-9
    image_bytes: int = 10_000  # a picture of 224 pixels; originals of the dataset have 230,000
    task: float = 5e-3  # assumed: Ray's overhead for one task, on the driver
    shard: float = 0.1  # assumed: reading and writing a shard's file in S3; 3e-3 of it is measured work
    load_row: float = 0.2e-3
    feature_bytes: int = 4 * 4430 * 4  # one image and its three views, float32
    shard_copies: float = 4.0  # of a shard's features in a worker while it is written
    matrix_copies: float = 2.9  # of all features in the driver until the training set is made
    trial_row: float = 1.3e-3  # one trial of five folds, a training row; the mean of four families
    svm_row_squared: float = 1e-7  # what a trial of the SVM takes beyond that, a training row squared
    read_latency: float = 30e-3  # assumed: first byte of S3 to a client in its region
    list_page: float = 0.15  # assumed: a thousand keys
    list_read: float = 13e-3  # reading such a page, on the driver
    get_price: float = 0.0004 / 1000
    list_price: float = 0.005 / 1000


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Workers of two slots, their price an hour, how often one is taken away in an hour, and its successor's delay."""

    workers: int
    slots: int = 2
    worker_hour: float = 0.108  # Fargate, 2 vCPU and 6 GiB; spot is about half of it
    losses_an_hour: float = 0.0
    replaced_after: float = 90.0
    worker_bytes: float = 6 * GIB
    head_bytes: float = 4 * GIB
    object_store_bytes: float = 0.5 * GIB


@dataclass(frozen=True, kw_only=True)
class Design:
    """What the code is like; the defaults are what it was before docs/adr/0023, `of` is what it is today."""

    shards: int = 256
    hash_threads: int = 8
    hash_on_workers: bool = False
    retries: int = 5
    training_rows: int | None = None  # at most so many images are fitted on; None is all
    reads_ahead: int = 1  # pictures that a worker reads while it describes one
    list_requests: int = 1  # at once

    @classmethod
    def of(cls, images: int) -> "Design":
        """Today's, for a dataset of so many images."""
        most = Settings.model_fields["training_sample"].default
        return cls(
            shards=16 ** digits_for(images),
            hash_on_workers=True,
            training_rows=most,
            reads_ahead=THREADS,
            list_requests=REQUESTS,
        )


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """What a simulated extraction took; `lost` workers, `repeated` tasks, `stopped` jobs that had to be run again."""

    seconds: float
    worker_hours: float
    lost: int
    repeated: int
    stopped: int


def lifetimes(rate: float, random: np.random.Generator) -> Iterator[float]:
    """Seconds until each worker is taken away."""
    return iter(lambda: float(random.exponential(3600 / rate)) if rate else math.inf, None)


def simulate(tasks: list[float], cluster: Cluster, lives: Iterator[float], *, retries: int = 5) -> Extracted:
    """Run tasks (seconds each) on the cluster, first come, first served; a lost worker's tasks begin again.

    A task that is lost more than `retries` times ends the job; somebody runs it again, finished shards being kept.
    """
    waiting = deque((seconds, 0) for seconds in tasks)
    running: dict[int, dict[int, tuple[float, int]]] = {}
    born: dict[int, float] = {}
    numbers, keys = itertools.count(), itertools.count()
    events: list[tuple[float, int, str, int, int]] = []
    left, now, paid = len(tasks), 0.0, 0.0
    lost = repeated = stopped = 0

    def happen(at: float, what: str, worker: int, task: int = 0) -> None:
        if at < math.inf:
            heapq.heappush(events, (at, next(keys), what, worker, task))

    def fill(worker: int) -> None:
        while waiting and len(running[worker]) < cluster.slots:
            key, work = next(numbers), waiting.popleft()
            running[worker][key] = work
            happen(now + work[0], "done", worker, key)

    for _ in range(cluster.workers):
        happen(0.0, "born", next(numbers))
    while left:
        now, _, what, worker, task = heapq.heappop(events)
        if what == "born":
            born[worker], running[worker] = now, {}
            happen(now + next(lives), "lost", worker)
            fill(worker)
        elif what == "lost":
            lost, paid = lost + 1, paid + now - born.pop(worker)
            for seconds, times in running.pop(worker).values():
                repeated, stopped = repeated + 1, stopped + (times >= retries)
                waiting.appendleft((seconds, 0 if times >= retries else times + 1))
            happen(now + cluster.replaced_after, "born", next(numbers))
            for other in running:
                fill(other)
        elif worker in running and running[worker].pop(task, None):
            left -= 1
            fill(worker)
    paid += sum(now - since for since in born.values())
    return Extracted(seconds=now, worker_hours=paid / 3600, lost=lost, repeated=repeated, stopped=stopped)


def shard_seconds(images: int, costs: Costs, design: Design, random: np.random.Generator) -> list[float]:
    """Seconds of each shard's task: images fall into shards by their hash."""
    if images / design.shards > 1e6:
        sizes = np.full(design.shards, images / design.shards)
    else:
        sizes = random.multinomial(images, np.full(design.shards, 1 / design.shards)).astype(float)
    each = costs.extract + costs.hash_byte * costs.image_bytes
    return [size * each + costs.shard for size in sizes if size]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of each phase, dollars, and what each thing that is limited needs of what there is (1 is all of it)."""

    seconds: dict[str, float]
    dollars: float
    needs: dict[str, float]
    extracted: Extracted


def estimate(
    images: int, cluster: Cluster, *, costs: Costs = Costs(), design: Design = Design(), seed: int = 0, trials: int = 12
) -> Estimate:
    """A first training on a bucket of so many images."""
    random = np.random.default_rng(seed)
    hashing = images * (costs.read_latency / design.hash_threads + costs.hash_byte * costs.image_bytes)
    if design.hash_on_workers:
        hashing /= cluster.workers * cluster.slots
    waiting = costs.read_latency / design.reads_ahead
    each = costs.extract + waiting if design.reads_ahead == 1 else max(costs.extract, waiting)
    reading = replace(costs, extract=each)
    tasks = shard_seconds(images, reading, design, random)
    extracted = simulate(tasks, cluster, lifetimes(cluster.losses_an_hour, random), retries=design.retries)
    driver = len(tasks) * costs.task
    fitted = min(images, design.training_rows or images)
    rows = 2 * 0.8 * fitted  # one in five is held out; each image has a second view
    slots = min(cluster.workers * cluster.slots, trials)
    squared = costs.svm_row_squared * rows**2  # of one family in four
    all_trials = trials * costs.trial_row * rows + trials / 4 * squared
    seconds = {
        "list": math.ceil(images / 1000) * max(costs.list_page / design.list_requests, costs.list_read),
        "hash": hashing,
        "manifest": images * costs.manifest_row,
        "extract": max(extracted.seconds, driver),
        "load": fitted * costs.load_row,
        "sweep": max(all_trials / slots, costs.trial_row * rows + squared),
    }
    head_hours = sum(seconds.values()) / 3600
    requests = 2 * images * costs.get_price + images / 1000 * costs.list_price
    sweeping = min(cluster.workers, math.ceil(trials / cluster.slots)) * seconds["sweep"] / 3600
    dollars = (extracted.worker_hours + sweeping) * cluster.worker_hour + head_hours * 0.058 + requests
    per_shard = images / design.shards * costs.feature_bytes * costs.shard_copies * cluster.slots
    needs = {
        "slots that have a shard": cluster.workers * cluster.slots / design.shards,
        "worker's memory": per_shard / cluster.worker_bytes,
        "driver's memory": fitted * costs.feature_bytes * costs.matrix_copies / cluster.head_bytes,
        "object store": 0.8 * fitted * costs.feature_bytes / cluster.object_store_bytes,
    }
    return Estimate(seconds=seconds, dollars=dollars, needs=needs, extracted=extracted)


def first_limit(cluster: Cluster, name: str, *, costs: Costs = Costs(), design: Design = Design()) -> int:
    """The number of images at which something that is limited is all used."""
    quiet = replace(cluster, losses_an_hour=0)
    return int(10_000 / estimate(10_000, quiet, costs=costs, design=design).needs[name])


def clock(seconds: float) -> str:
    """Seconds as people say them; what takes more than a year is not done."""
    if seconds > 365 * 86400:
        return "never"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"


def main() -> None:
    """Print the tables."""
    phases = ("list", "hash", "manifest", "extract", "load", "sweep")
    for name, design in (("as it is today", Design.of), ("as it was before docs/adr/0023", lambda _: Design())):
        print(f"\n{name}\n{'images':>8} {'workers':>7} ", *(f"{phase:>10}" for phase in phases), " dollars  over")
        for power, workers in itertools.product(range(4, 10), (2, 16, 128)):
            found = estimate(10**power, Cluster(workers=workers), design=design(10**power))
            over = [f"{what} x{share:,.0f}" for what, share in found.needs.items() if share > 1]
            times = (f"{clock(found.seconds[phase]):>10}" for phase in phases)
            print(f"{10**power:>8.0e} {workers:>7} ", *times, f"{found.dollars:>13,.2f} ", ", ".join(over))
    print("\nimages at which each limit of the stack was reached before docs/adr/0023")
    for what in ("object store", "driver's memory", "worker's memory"):
        print(f"  {what:<18} {first_limit(Cluster(workers=1), what):>12,}")
    print("\n10⁷ images on 64 workers\nlosses/h   shards   extract  worker hours  tasks again  job again")
    for rate, shards in itertools.product((0, 0.05, 0.2, 1.0), (256, 65_536)):
        cluster = Cluster(workers=64, losses_an_hour=rate)
        found = estimate(10**7, cluster, design=replace(Design.of(10**7), shards=shards)).extracted
        print(
            f"{rate:>8} {shards:>8,} {clock(found.seconds):>9} {found.worker_hours:>13,.1f} {found.repeated:>12,}"
            f" {found.stopped:>10}"
        )


if __name__ == "__main__":
    main()
