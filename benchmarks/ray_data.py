"""The extraction against the same work written for Ray Data: speed, memory, and what a kill costs, in one run.

``python -m benchmarks.ray_data [--data FOLDER]``. Both describe the same files with two cores, each in a process of its
own, and take turns. Ray Data writes Parquet and keeps checkpoints, by which a run that was killed goes on.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
import ray.data
from ray.data.checkpoint import CheckpointConfig

from benchmarks.extraction import generated
from benchmarks.report import machine, processor_s
from features.extract import extract_views
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.manifest import images_of
from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.cache import load_shard
from ray_jobs.feature_table.extraction import extract_features
from registry.settings import ROOT
from registry.state import open_state

CONTESTANTS = ("ours", "ray-data")
ROUNDS = 3
IMAGES_A_BATCH = 32
KILLED_AT = 0.5  # of the time that a whole run took


def extract_by_tasks(data: str, folder: Path) -> None:
    """What a training does: manifest, then shards as tasks, into the cache."""
    state, source = open_state(str(folder)), open_source(data)
    manifest = build_manifest(source, filesystem=state.filesystem, base=state.path("datasets"))
    extract_features(source, manifest, state, DEFAULT_SPEC)


def extract_by_ray_data(data: str, folder: Path) -> None:
    """The same manifest, then reading, describing and writing as Ray Data's operators."""
    state, source = open_state(str(folder)), open_source(data)
    manifest = build_manifest(source, filesystem=state.filesystem, base=state.path("datasets"))

    def describe(batch: Any) -> Any:
        cv2.setNumThreads(1)
        rows = [extract_views(source.read(path), DEFAULT_SPEC).ravel() for path in batch["path"]]
        return {"sha256": batch["sha256"], "features": np.stack(rows)}

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.checkpoint_config = CheckpointConfig(
        id_column="sha256", checkpoint_path=str(folder / "checkpoint"), delete_checkpoint_on_success=False
    )
    rows = folder / "rows.parquet"  # checkpoints need a reader that Ray Data can filter
    pq.write_table(manifest.table("path", "sha256"), rows)
    dataset = ray.data.read_parquet(str(rows)).repartition(max(2, manifest.rows // IMAGES_A_BATCH))
    dataset.map_batches(describe, batch_size=IMAGES_A_BATCH).write_parquet(str(folder / "features"))


def features_by_tasks(data: str, folder: Path) -> dict[str, np.ndarray]:
    """By sha256, what the first contestant left."""
    state, source = open_state(str(folder)), open_source(data)
    manifest = build_manifest(source, filesystem=state.filesystem, base=state.path("datasets"))
    found = dict[str, np.ndarray]()
    for prefix, rows in manifest.shards():
        images = images_of(rows)
        matrix, _ = load_shard(state, DEFAULT_SPEC, prefix, images)
        found |= {sha256: row.ravel() for (_, sha256), row in zip(images, matrix, strict=True)}
    return found


def features_by_ray_data(folder: Path) -> dict[str, np.ndarray]:
    """By sha256, what the second left."""
    table = pq.read_table(folder / "features")
    column = pc.cast(table.column("sha256"), pa.string()).to_pylist()
    return {name: np.asarray(row) for name, row in zip(column, table.column("features"), strict=True)}


class Run:
    """A contestant as a process: its seconds, its processor seconds, and its peak memory with all its workers."""

    def __init__(self, contestant: str, data: str, folder: Path, *, killed_after: float | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.ray_data", "--data", data, "--contestant", contestant]
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--out", str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.used_s, self.peak_mib = 0.0, 0.0
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.Error):
                self.used_s = max(self.used_s, processor_s(watched))
                self.peak_mib = max(self.peak_mib, memory_mib(watched))
            if killed_after is not None and time.perf_counter() - start > killed_after:
                end_all(watched)
            time.sleep(0.5)
        self.elapsed_s = time.perf_counter() - start
        if killed_after is None and process.returncode:
            raise RuntimeError(f"{contestant} ended with {process.returncode}; start it by hand: {' '.join(command)}")


def memory_mib(process: psutil.Process) -> float:
    """What a process and its children hold together; pages that several share count once, those in /dev/shm too."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            total += member.memory_full_info().pss
    return total / 2**20


def end_all(process: psutil.Process) -> None:
    """Kill a contestant and all that it started, as a machine that goes away would."""
    for member in (*process.children(recursive=True), process):
        with suppress(psutil.Error):
            member.send_signal(signal.SIGKILL)


def compare(data: str, scratch: Path, images: int) -> None:
    """Print a line a contestant, and whether both gave the same numbers."""
    runs: dict[str, list[Run]] = {name: [] for name in CONTESTANTS}
    for number in range(ROUNDS):
        for name in CONTESTANTS:
            runs[name].append(Run(name, data, scratch / name / str(number)))
    print(f"{'':<12}{'images/s':>10}{'CPU s':>8}{'peak MiB':>10}{'after a kill, s':>17}   seconds of whole runs")
    for name, done in runs.items():
        whole = median(run.elapsed_s for run in done)
        killed = scratch / name / "killed"
        Run(name, data, killed, killed_after=KILLED_AT * whole)
        rest = Run(name, data, killed)
        each = ", ".join(f"{run.elapsed_s:.0f}" for run in done)
        used, peak = median(run.used_s for run in done), median(run.peak_mib for run in done)
        print(f"{name:<12}{images / whole:>10.0f}{used:>8.0f}{peak:>10.0f}{rest.elapsed_s:>17.0f}   {each}")
    for folder, name in (("0", "whole runs"), ("killed", "after a kill")):
        mine = features_by_tasks(data, scratch / "ours" / folder)
        theirs = features_by_ray_data(scratch / "ray-data" / folder)
        same = mine.keys() == theirs.keys() and all(np.array_equal(row, theirs[key]) for key, row in mine.items())
        print(f"{name}: {'the same' if same else 'OTHER'} numbers of {len(mine)} images")


def main() -> None:
    """Compare, or, as a contestant, do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", help="X-rays (default: 1,500 generated ones)")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    if options.contestant:
        options.out.mkdir(parents=True, exist_ok=True)
        work = {"ours": extract_by_tasks, "ray-data": extract_by_ray_data}[options.contestant]
        work(options.data, options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        data = options.data or generated(scratch / "xrays")
        images = sum(1 for _ in open_source(data).entries())
        print(f"{machine()}\n{images} files of {options.data or 'generated X-rays'}\n")
        compare(data, scratch, images)


if __name__ == "__main__":
    main()
