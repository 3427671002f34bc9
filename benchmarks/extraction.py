"""What extraction promises, measured in one run: one core against scikit-image, Ray against one core and joblib,
a second run against the first, and the driver's memory at 1,000 and at 100,000 rows.

``python -m benchmarks.extraction [--data URI]``; exits with 1 where a promise is not kept. Contestants take turns, and
medians count. On a shared machine, rounds in which others took much of it are repeated.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import joblib
import psutil
from threadpoolctl import threadpool_limits

from benchmarks.descriptors import measure
from benchmarks.report import machine, processor_s, timed, verdict
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.manifest import images_of
from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.cache import extract_shard
from ray_jobs.feature_table.extraction import on_workers
from ray_jobs.feature_table.prepare import Prepared, prepare
from registry.settings import ROOT, Settings
from registry.state import open_state

Shard = tuple[str, list[tuple[str, str]]]
ROUNDS, MOST_ROUNDS = 5, 8
QUIET = 0.05  # of the processors, taken by other programs: a round with more says nothing of Ray
GENERATED = "synthetic:1500"
IMAGES = 800  # of a dataset, in each round
SMALL, LARGE = 1_000, 100_000


def shards_of(prepared: Prepared) -> list[Shard]:
    """Every shard of a dataset with its images."""
    return [(prefix, images_of(rows)) for prefix, rows in prepared.manifest.shards()]


def watched(work: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of one call; processor seconds of this process and its children; of everybody else."""

    def own() -> float:
        return processor_s(psutil.Process())

    def everyone() -> float:
        now = psutil.cpu_times()
        return float(now.user + now.nice + now.system)

    ours, whole = own(), everyone()
    elapsed = timed(work)
    ours, whole = own() - ours, everyone() - whole
    return elapsed, ours, max(0.0, whole - ours)


def one_shard(prepared: Prepared, folder: str, shard: Shard) -> None:
    """The work that every contestant does, on one core."""
    cv2.setNumThreads(1)
    extract_shard(prepared.source, open_state(folder), DEFAULT_SPEC, *shard)


def parallel(prepared: Prepared, scratch: Path) -> tuple[float, float]:
    """Ray's share of twice one core, and its speed in joblib's: medians of interleaved rounds."""
    shards = shards_of(prepared)
    shards = shards[: max(1, len(shards) * IMAGES // prepared.manifest.rows)]
    found: dict[str, list[tuple[float, float, float, bool]]] = {"one core": [], "joblib": [], "ray": []}
    with joblib.Parallel(n_jobs=2) as pool:

        def contestants(folder: Path, work: list[Shard]) -> dict[str, Callable[[], object]]:
            one, two, three = (str(folder / name) for name in found)
            return {
                "one core": lambda: [one_shard(prepared, one, shard) for shard in work],
                "joblib": lambda: pool(joblib.delayed(one_shard)(prepared, two, shard) for shard in work),
                "ray": lambda: list(
                    on_workers(prepared.source, open_state(three), DEFAULT_SPEC, [(*one, []) for one in work], None)
                ),
            }

        for start in contestants(scratch / "warm", shards[:16]).values():
            start()  # workers start, and import, before they are timed
        quiet = 0
        for number in range(MOST_ROUNDS):
            done = [watched(work) for work in contestants(scratch / str(number), shards).values()]
            fine = all(others <= QUIET * elapsed * (os.cpu_count() or 1) for elapsed, _, others in done)
            quiet += fine
            for rounds, result in zip(found.values(), done, strict=True):
                rounds.append((*result, fine))
            if quiet == ROUNDS:
                break
    if quiet:
        found = {name: [round_ for round_ in rounds if round_[-1]] for name, rounds in found.items()}
    else:
        print("NO ROUND WAS QUIET: other programs took part of the machine in each, so Ray's lines say little")
    images = sum(len(shard[1]) for shard in shards)
    print(f"{images} images read, checked, extracted and written: {quiet} quiet rounds of {number + 1}")
    print(f"{'':<12}{'images/s':>10}{'CPU s':>8}{'CPU s of others':>17}   seconds")
    for name, rounds in found.items():
        elapsed, ours, others, _ = (median(column) for column in zip(*rounds, strict=True))
        each = ", ".join(f"{round_[0]:.1f}" for round_ in rounds)
        print(f"{name:<12}{images / elapsed:>10.0f}{ours:>8.1f}{others:>17.1f}   {each}")
    one, two, ray = (median(round_[0] for round_ in rounds) for rounds in found.values())
    return one / (2 * ray), two / ray


def second_run(settings: Settings, scratch: Path) -> float:
    """How many times faster a run with nothing new is: manifest and extraction, Ray running already."""
    fresh = settings.model_copy(update={"state_uri": str(scratch / "second")})
    first, second = timed(lambda: prepare(fresh).extract()), timed(lambda: prepare(fresh).extract())
    print(f"first run {first:.1f} s, second run {second:.2f} s")
    return first / second


def driver_memory(rows: int) -> float:
    """Peak memory, in MiB, of a driver of its own that builds a manifest of so many rows and extracts them."""
    command = [sys.executable, "-m", "benchmarks.driver", str(rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak = float(done.stdout.split()[-1])
    print(f"{rows:>7,} rows: driver's peak {peak:.0f} MiB")
    return peak


def generated(folder: Path) -> str:
    """Write generated X-rays as files, so that drawing them is not part of what is timed; their folder."""
    source = open_source(GENERATED)
    for entry in source.entries():
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read(entry.path))
    return str(folder)


def main() -> int:
    """Print what was measured, what is promised, and whether it is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="URI", help=f"X-rays (default: {GENERATED}, written to a folder first)")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        scratch = Path(folder)
        print(f"{machine()}\n{options.data or GENERATED}\n")
        settings = Settings(data_uri=options.data or generated(scratch / "xrays"), ray_address=None)
        ratio, _ = measure(20)
        print()
        prepared = prepare(settings.model_copy(update={"state_uri": str(scratch / "state")}))
        share, against_joblib = parallel(prepared, scratch)
        print()
        again = second_run(settings, scratch)
    growth = driver_memory(LARGE) / driver_memory(SMALL)
    return verdict(
        [
            ("one core, times scikit-image", ratio, ">=", 10.0),
            ("Ray on 2 cores, share of twice one core", share, ">=", 0.9),
            ("Ray, times joblib", against_joblib, ">=", 1.0),
            ("second run with nothing new, times the first", again, ">=", 50.0),
            ("driver's memory at 100,000 rows, times at 1,000", growth, "<=", 1.15),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
