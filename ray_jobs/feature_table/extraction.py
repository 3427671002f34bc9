"""Extract the features of a dataset on Ray, shard by shard, only what the cache lacks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import cv2
import pyarrow as pa
import ray

from features.spec import FeatureSpec
from ray_jobs.dataset.ahead import ahead
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.manifest import Manifest, images_of
from ray_jobs.dataset.quarantine import Undecodable, add_undecodable
from ray_jobs.feature_table.cache import FailedImage, cached, extract_shard, stored_prefixes, take_over
from ray_jobs.runtime.cluster import connect, cpus
from ray_jobs.runtime.patience import wait
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task
from registry.state import State

Work = tuple[str, list[tuple[str, str]], list[str]]
"""A shard's prefix, its images that it lacks, as (path, sha256), and shards of other lengths that may have them."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What an extraction did: `extracted` images were new, `cached` were there.

    Those of both that gave no features are `without`, by their sha256.
    """

    extracted: int
    cached: int
    without: frozenset[str]

    @property
    def failed(self) -> int:
        """How many images have no features."""
        return len(self.without)

    def __str__(self) -> str:
        return f"{self.extracted} images extracted, {self.cached} found in the cache, {self.failed} without features"


def extract_features(
    source: Source, manifest: Manifest, state: State, spec: FeatureSpec, *, ray_address: str | None = None
) -> Extraction:
    """Bring the cache up to date with a manifest; images that give no features are added to its quarantine report.

    Only as many shards as keep the workers busy are in the driver's memory, so it does not grow with the manifest.
    A worker that dies is replaced and its shard done again; a job that is run again starts where it was interrupted.
    Where the cache has everything, Ray is not started at all.
    """
    new, known, failures = 0, 0, list[FailedImage]()

    stored = stored_prefixes(state, spec)
    others = {prefix for prefix in stored if len(prefix) != manifest.digits}

    def look(shard: tuple[str, pa.Table]) -> tuple[str, list[tuple[str, str]], dict[str, str]]:
        prefix, rows = shard
        return prefix, images_of(rows), cached(state, spec, prefix) if prefix in stored else {}

    def missing() -> Iterator[Work]:
        nonlocal known
        for prefix, images, there in ahead(look, manifest.shards()):
            failures.extend(
                FailedImage(path=path, sha256=key, detail=there[key]) for path, key in images if there.get(key)
            )
            lacking = [image for image in images if image[1] not in there]
            known += len(images) - len(lacking)
            progress.update(len(images) - len(lacking))
            if lacking:
                yield prefix, lacking, [name for name in others if name.startswith(prefix) or prefix.startswith(name)]

    with Progress("features", unit="image", total=manifest.rows) as progress:
        for count, taken, failed in on_workers(source, state, spec, missing(), ray_address):
            new += count
            known += taken
            failures += failed
            progress.update(count + taken)
    add_undecodable(manifest, [Undecodable(path=f.path, sha256=f.sha256, detail=f.detail) for f in failures])
    return Extraction(extracted=new, cached=known, without=frozenset(failure.sha256 for failure in failures))


def on_workers(
    source: Source,
    state: State,
    spec: FeatureSpec,
    shards: Iterable[Work],
    ray_address: str | None,
) -> Iterator[tuple[int, int, list[FailedImage]]]:
    """Extract shards on the cluster, a few ahead of the workers.

    Yields of each shard how many images were extracted, how many were found in other shards, and the failures of both.
    """
    shards = iter(shards)
    first = next(shards, None)
    if first is None:
        return
    connect(ray_address)
    common = ray.put((source, state, spec))
    running = {_extract_shard.remote(common, *first)}
    while running:
        room = 3 * cpus() - len(running)
        running |= {_extract_shard.remote(common, *shard) for shard in islice(shards, max(0, room))}
        finished, rest = wait(list(running), "features")
        running = set(rest)
        yield from ray.get(finished)


@task(span="extract a shard", max_retries=5)
def _extract_shard(
    common: tuple[Source, State, FeatureSpec], prefix: str, images: list[tuple[str, str]], others: list[str]
) -> tuple[int, int, list[FailedImage]]:
    cv2.setNumThreads(1)  # the worker has one core; OpenCV would start a thread for every core of the machine
    source, state, spec = common
    left, failures = take_over(state, spec, prefix, images, others) if others else (images, [])
    if left:
        failures += extract_shard(source, state, spec, prefix, left)
    return len(left), len(images) - len(left), failures
