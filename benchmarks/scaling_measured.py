"""The unit costs of `benchmarks.scaling`, measured on the real code, and its predictions compared with larger runs.

``python -m benchmarks.scaling_measured --data FOLDER`` (X-rays as the jobs take them). Units are measured on 500 images
and predict 1,000 and 5,000. It counts processor seconds, which other programs change little. Linux only.

``python -m benchmarks.scaling_measured --generated 10000 100000 1000000`` measures whole runs on generated data,
each by `benchmarks.scaling_run` in a process of its own: seconds, and the peaks of driver and workers, whose growth it
compares. ``--wide`` gives each X-ray as many features as real ones have, ``--predict`` scores them all as well.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.driver import peak_memory
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.entry import Entry, Source
from ray_jobs.dataset.folder_source import FolderSource
from ray_jobs.dataset.manifest import Manifest, images_of
from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.cache import extract_shard
from ray_jobs.feature_table.hashing import FEW
from ray_jobs.feature_table.stored import stored_rows
from ray_jobs.learning.search_space import Candidate, candidates
from ray_jobs.learning.table import FeatureTable, Sides
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate
from registry.state import State, open_state

SMALL, LARGER = 500, (1_000, 5_000)
FEATURE_BYTES = DEFAULT_SPEC.rows.count * len(DEFAULT_SPEC.names) * 4
MIB = 2**20


@dataclass(frozen=True)
class Part:
    """So many files of a folder, evenly chosen."""

    whole: FolderSource
    paths: frozenset[str]
    name: str = ""

    @property
    def uri(self) -> str:
        """The address."""
        return f"{self.whole.uri}#{len(self.paths)}"

    def entries(self) -> "list[Entry]":
        """Those files."""
        return [entry for entry in self.whole.entries() if entry.path in self.paths]

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        return self.whole.read(path)


@dataclass(frozen=True, kw_only=True)
class Phases:
    """Processor seconds of a dataset's phases, and how many shards it has."""

    images: int
    shards: int
    manifest: float
    extract: float
    load: float


def used(work: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def growth(work: Callable[[], object]) -> float:
    """MiB that one call needed at most beyond what was there."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    before = peak_memory()
    work()
    return peak_memory() - before


def part(source: Source, count: int) -> Part:
    """So many images of a source, from its beginning to its end."""
    paths = sorted(entry.path for entry in source.entries())
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)
    return Part(source, frozenset(paths[index] for index in chosen))


def manifest_of(source: Source, state: State) -> Manifest:
    """Its manifest."""
    return build_manifest(source, filesystem=state.filesystem, base=state.path("datasets"))


def phases(source: Source, state: State) -> tuple[Phases, Manifest]:
    """Every phase of one dataset on one core, without Ray."""
    made: list[Manifest] = []
    listing = used(lambda: made.append(manifest_of(source, state)))
    manifest = made[0]
    shards = [(prefix, images_of(rows)) for prefix, rows in manifest.shards()]
    extract = used(lambda: [extract_shard(source, state, DEFAULT_SPEC, *shard) for shard in shards])
    load = used(lambda: stored_rows(manifest, state, DEFAULT_SPEC).read())
    found = Phases(images=manifest.rows, shards=len(shards), manifest=listing, extract=extract, load=load)
    return found, manifest


def predict(images: int, shards: int, small: Phases, each: float) -> Phases:
    """What the units say of a larger dataset; `each` is the extraction of one image without its share of a shard."""
    shard = max(0.0, (small.extract - small.images * each) / small.shards)
    scale = images / small.images
    return Phases(
        images=images,
        shards=shards,
        manifest=small.manifest * scale,
        extract=images * each + shards * shard,
        load=small.load * scale,
    )


def sweeps(table: FeatureTable) -> None:
    """Seconds of a trial of each family, by rows; and the memory of the largest."""
    for count in (800, 4_000):
        random = np.random.default_rng(0)
        chosen = np.isin(np.arange(len(table)), random.choice(len(table), min(count, len(table)), replace=False))
        data = TrainingSet.of(Sides.of(table.only(chosen)).train, seed=0)
        for candidate in candidates(4, seed=0):
            rows, trials = len(data.labels), []

            def run(candidate: Candidate = candidate, data: TrainingSet = data, trials: list = trials) -> None:
                trials.append(cross_validate(candidate, data.features, data.labels, data.folds))

            copies = growth(run) * MIB / data.features.nbytes
            seconds = trials[0].seconds
            each = f"{seconds:>7.2f} s {seconds / rows * 1e3:>6.2f} ms a row, memory {copies:.1f} times the rows"
            print(f"  {candidate.family:<20} {rows:>5} rows {each}", flush=True)


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", metavar="FOLDER", help="measure units on X-rays as the jobs take them")
    what.add_argument("--generated", metavar="COUNT", type=int, nargs="+", help="measure runs on generated data")
    parser.add_argument("--wide", action="store_true", help="with --generated: features as wide as those of X-rays")
    parser.add_argument("--predict", action="store_true", help="with --generated: also score all pictures")
    options = parser.parse_args()
    if options.generated:
        generated(sorted(options.generated), [f"--{name}" for name in ("wide", "predict") if getattr(options, name)])
    else:
        measure(open_source(options.data))


def generated(counts: list[int], options: list[str]) -> None:
    """Run each size, print what it took, and how much each phase grew with the dataset since the size before."""
    before: tuple[int, dict[str, dict[str, float]]] | None = None
    for count in counts:
        found = run(count, *options)
        told, _ = found.pop("auc"), found.pop("digest")
        print(f"{count:,} images; fitted on {told['fitted']:,}, AUC {told['value']:.3f} of {told['judged']:,} held out")
        for name, phase in found.items():
            grown = ""
            if before:
                times, old = count / before[0], before[1][name]
                grown = f"; over linear ×{phase['seconds'] / old['seconds'] / times:.2f}" + "".join(
                    f", {whose} ×{phase[whose] / old[whose]:.2f}" for whose in ("driver", "worker")
                )
            peaks = f"peak of the driver {phase['driver']:,.0f} MiB, of a worker {phase['worker']:,.0f} MiB"
            print(f"  {name:<20} {phase['seconds']:>7.1f} s, {peaks}{grown}", flush=True)
        before = count, found
    same(2 * FEW)


def run(count: int, *options: str) -> dict[str, Any]:
    """What `benchmarks.scaling_run` prints."""
    command = [sys.executable, "-m", "benchmarks.scaling_run", str(count), *options]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    [found] = [line for line in answer.stdout.splitlines() if line.startswith("{")]  # Ray may say something besides
    return json.loads(found)


def same(count: int) -> None:
    """Whether manifest, cache and scores are the same with one worker and with two, and with workers that are lost."""
    ways = {"1 worker": ["--workers", "1"], "2 workers": ["--workers", "2"]}
    ways["2 workers, of which some are killed"] = ["--workers", "2", "--kill", "2"]
    for name, options in ways.items():
        print(f"{count:,} images, {name}: sha256 of all results {run(count, *options)['digest']}", flush=True)


def measure(source: Source) -> None:
    """Units, and what they predict, on real X-rays."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        phases(part(source, 50), open_state(f"{scratch}/warm"))  # what is only done once is not counted
        few = part(source, SMALL)
        small, manifest = phases(few, open_state(f"{scratch}/small"))
        whole = [image for _, rows in manifest.shards() for image in images_of(rows)]
        one = open_state(f"{scratch}/one")
        each = used(lambda: extract_shard(few, one, DEFAULT_SPEC, "00", whole)) / small.images
        print(f"{small.images} images in {small.shards} shards; one image {each * 1e3:.2f} ms, manifest "
              f"{small.manifest / small.images * 1e3:.2f} ms an image, one shard "
              f"{(small.extract - small.images * each) / small.shards * 1e3:.1f} ms, loading "
              f"{small.load / small.images * 1e3:.2f} ms an image", flush=True)  # fmt: skip
        for count in LARGER:
            state = open_state(f"{scratch}/{count}")
            measured, manifest = phases(part(source, count), state)
            expected = predict(measured.images, measured.shards, small, each)
            for name in ("manifest", "extract", "load"):
                ours, theirs = getattr(expected, name), getattr(measured, name)
                print(f"{measured.images:>6} {name:<10} predicted {ours:>7.2f} s, measured {theirs:>7.2f} s, "
                      f"ratio {ours / theirs:.2f}", flush=True)  # fmt: skip
        thousand = list(islice(whole_of(manifest), 1_000))
        again = open_state(f"{scratch}/memory")
        need = growth(lambda: extract_shard(source, again, DEFAULT_SPEC, "00", thousand))
        print(f"a shard of 1,000 images needs {need * MIB / 1_000 / FEATURE_BYTES:.1f} times its features", flush=True)
        kept: list[object] = []

        def train_set() -> None:
            table = stored_rows(manifest, state, DEFAULT_SPEC).read()
            sides = Sides.of(table)
            kept.extend((table, TrainingSet.of(sides.train, seed=0)))

        need = growth(train_set)
        print(f"a driver needs {need * MIB / manifest.rows / FEATURE_BYTES:.1f} times all features", flush=True)
        sweeps(stored_rows(manifest, state, DEFAULT_SPEC).read())


def whole_of(manifest: Manifest):
    """Every image of a manifest."""
    for _, rows in manifest.shards():
        yield from images_of(rows)


if __name__ == "__main__":
    main()
