"""One run of all that grows with a dataset, on generated data: its times, and the peaks of driver and workers.

``python -m benchmarks.scaling_run COUNT`` prints JSON; `benchmarks.scaling_measured --generated` starts it. Pictures of
64 pixels are read and hashed as any other. Features are drawn, since to compute them would only take time: few of them,
or, with ``--wide``, as many as real X-rays have. With ``--predict`` all pictures are scored as well, by a model of the
few. ``--workers N`` starts Ray with so many cores, and ``--kill SECONDS`` kills a worker that often in the mean, at the
times that the simulator draws for spot capacity; ``digest``, of manifest, cache, scores and predictions, says whether
the results are the same.
"""

import argparse
import hashlib
import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import psutil
import pyarrow.parquet as pq
import ray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

from benchmarks.driver import TINY
from benchmarks.scaling import lifetimes
from features.extract import extract
from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.entry import Entry
from ray_jobs.dataset.manifest import Manifest, images_of
from ray_jobs.feature_table.cache import add_rows
from ray_jobs.feature_table.extraction import extract_features
from ray_jobs.feature_table.hashing import Hashing
from ray_jobs.feature_table.stored import stored_sides
from ray_jobs.learning.evaluate import evaluate
from ray_jobs.learning.search_space import candidates
from ray_jobs.learning.table import Sides
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import decision, fit_fold
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.output import OutputFile
from ray_jobs.runtime.patience import in_turn
from ray_jobs.scoring import SCHEMA, ScoringJob, score
from registry.model.bundle import Bundle
from registry.settings import Settings
from registry.state import State, open_state
from tests.detectors import detector_of

SIDE, SHIFT = 64, 0.2
XRAYS_A_PATIENT = 3
FITTED = 400


@dataclass(frozen=True)
class Pictures:
    """A source of so many different pictures, every second one of pneumonia, some of each patient."""

    count: int
    name: str = ""

    @property
    def uri(self) -> str:
        """The address."""
        return f"pictures:{self.count}"

    def entries(self) -> Iterator[Entry]:
        """They are known by their numbers."""
        for index in range(self.count):
            patient = index // (2 * XRAYS_A_PATIENT)
            name = f"PNEUMONIA/person{patient}_virus_{index}.png" if index % 2 else f"NORMAL/IM-{patient}-{index}.png"
            yield Entry(path=name, size=-1, version="1")

    def read(self, path: str) -> bytes:
        """The picture that the path's last number gives."""
        number = int(re.findall(r"\d+", path)[-1])
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()


@ray.remote
def _draw(common: tuple[State, FeatureSpec], prefix: str, images: list[tuple[str, str]]) -> int:
    """Write a shard of drawn features: noise, and a little more of each feature where the path says pneumonia."""
    state, spec = common
    random = np.random.default_rng(int(prefix, 16))
    noise = random.standard_normal((64, spec.rows.count, len(spec.names))).astype(np.float16).astype(np.float32)
    rows = {
        sha256: ("", noise[random.integers(64)] * np.float32(random.uniform(0.5, 2)) + SHIFT * ("PNEUMONIA" in path))
        for path, sha256 in images
    }
    add_rows(state, spec, prefix, rows)
    return len(images)


@ray.remote
def _fit(data: TrainingSet) -> float:
    """One fit of the linear candidate on one fold, as a sweep's worker does it; its AUC."""
    [candidate] = [each for each in candidates(4, seed=0) if each.family == "logistic-regression"]
    return fit_fold(candidate, data.features, data.labels, data.folds, fold=0).auc


class Run:
    """The phases of one run; each notes its seconds and the peaks of memory so far, in MiB."""

    def __init__(self, count: int, spec: FeatureSpec, folder: str) -> None:
        self.source, self.spec, self.state = Pictures(count), spec, open_state(folder)
        self.found: dict[str, dict[str, float]] = {}
        self.results = hashlib.sha256()

    def phase(self, name: str, started: float) -> None:
        """Note a phase that ends now."""
        workers = [
            peak_of(child.pid) for child in psutil.Process().children(recursive=True) if "ray::" in name_of(child)
        ]
        seconds = time.perf_counter() - started
        self.found[name] = {
            "seconds": seconds,
            "driver": peak_of(psutil.Process().pid),
            "worker": max(workers, default=0),
        }

    def manifest(self) -> Manifest:
        """List, and hash what is new on the workers."""
        base = self.state.path("datasets")
        return build_manifest(self.source, filesystem=self.state.filesystem, base=base, examiner=Hashing(None))

    def draw(self, manifest: Manifest) -> None:
        """Fill the cache."""
        common = ray.put((self.state, self.spec))
        shards = ((prefix, images_of(rows)) for prefix, rows in manifest.shards())
        assert sum(in_turn(lambda shard: _draw.remote(common, *shard), shards, "drawing")) == manifest.rows

    def train(self, sides: Sides) -> float:
        """One fit on the sample, and the evaluation of all held-out X-rays, piece by piece; the AUC."""
        data = TrainingSet.of(sides.train.read(), seed=0)
        shared = ray.put(data)
        ray.get(_fit.remote(shared))
        [candidate] = [each for each in candidates(4, seed=0) if each.family == "logistic-regression"]
        chosen = np.linspace(0, data.fitted - 1, 2_000).astype(int)
        model = candidate.build(len(chosen)).fit(data.features[chosen].astype(np.float64), data.labels[chosen])
        del data, shared
        scores = sides.held_out.each(lambda piece: decision(model, piece.features.astype(np.float64)))
        self.results.update(np.round(scores, 9).tobytes())
        probabilities = 1 / (1 + np.exp(-scores))
        return evaluate(sides.held_out.labels, probabilities, sides.held_out.patients, threshold=0.5).auc.value

    def predict(self) -> None:
        """Score every picture with a model that costs little, into one file."""
        started = time.perf_counter()
        job = ScoringJob.of(self.source, small_model(self.source), 1, "small", self.state)
        answers = self.state.path("answers.parquet")
        OutputFile(name=answers).write(score(job, ray_address=None), SCHEMA)
        assert pq.read_metadata(answers).num_rows == self.source.count
        self.results.update(Path(answers).read_bytes())
        job.forget()
        self.phase("prediction", started)

    def all(self) -> None:
        """Every phase in turn."""
        started = time.perf_counter()
        manifest = self.manifest()
        self.phase("first manifest", started)
        started = time.perf_counter()
        self.draw(manifest)
        self.phase("features drawn", started)
        started = time.perf_counter()
        again = self.manifest()
        self.results.update(Path(again.path).read_bytes())
        for shard in sorted(Path(self.state.path("features")).rglob("*.parquet")):
            self.results.update(shard.read_bytes())
        done = extract_features(self.source, again, self.state, self.spec)
        assert (again.hashed, done.extracted, done.cached) == (0, 0, manifest.rows)
        self.phase("second run", started)
        started = time.perf_counter()
        most = Settings.model_fields["training_sample"].default
        sides = stored_sides(again, self.state, self.spec, without=done.without, most=most, seed=0)
        self.found["auc"] = {"value": self.train(sides), "fitted": len(sides.train), "judged": len(sides.held_out)}
        self.phase("fit and evaluation", started)


def small_model(source: Pictures) -> Bundle:
    """A model of few features of a source's first pictures, which takes them all for X-rays."""
    features = np.stack([extract(source.read(entry.path), TINY) for entry in islice(source.entries(), FITTED)])
    labels = np.arange(FITTED) % 2
    return Bundle(
        estimator=CalibratedClassifierCV(LogisticRegression(max_iter=1000), ensemble=False).fit(features, labels),
        spec=TINY,
        threshold=0.5,
        detector=replace(detector_of(features, labels), doubtful=np.inf, refused=np.inf),
        evaluation={},
        golden=(),
    )


@contextmanager
def losses(every: float | None) -> Iterator[None]:
    """Kill one of this process's workers of Ray, the oldest that works, every so many seconds in the mean.

    The times between are those that the simulator draws, as workers on spot capacity are lost.
    """
    over = threading.Event()
    times = lifetimes(3600 / every if every else 0, np.random.default_rng(0))

    def lose() -> None:
        while every and not over.wait(next(times)):
            for child in psutil.Process().children(recursive=True):
                if re.match(r"ray::_", name_of(child)):
                    with suppress(psutil.Error):
                        child.kill()
                    break

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def peak_of(pid: int) -> float:
    """MiB that a process has had at most; 0 for one that has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return 0.0


def name_of(process: psutil.Process) -> str:
    """What a process calls itself."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--wide", action="store_true", help="as many features as real X-rays have")
    parser.add_argument("--workers", type=int, help="cores that Ray may use (default: all)")
    parser.add_argument("--kill", type=float, metavar="SECONDS", help="kill a worker that often in the mean")
    parser.add_argument("--predict", action="store_true", help="also score all pictures, some milliseconds each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.workers:
            ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False)
        connect(None)
        run = Run(options.count, DEFAULT_SPEC if options.wide else TINY, folder)
        with losses(options.kill):
            run.all()
            if options.predict:
                run.predict()
        print(json.dumps({**run.found, "digest": run.results.hexdigest()}))


if __name__ == "__main__":
    main()
