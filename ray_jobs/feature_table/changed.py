"""Features of some X-rays as they are and after each change that an X-ray may meet on its way, computed on Ray."""

from dataclasses import dataclass

import cv2
import numpy as np
import ray

from features.extract import describe, describe_normalised
from features.look import look
from features.reading.decode import decode
from features.spec import FeatureSpec
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.manifest import Manifest
from ray_jobs.feature_table.stored import named_rows
from ray_jobs.learning.changes import CHANGES
from ray_jobs.learning.table import Rows
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.patience import in_turn
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task

A_CLASS = 100  # X-rays: enough to see one answer in a hundred turn, few enough for seconds
_BATCH = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Changed:
    """Of N X-rays, features as they are and after each change, float32 (N, 1 + changes, D), and their lungs' aspects.

    These are of the X-rays as they are, (N,).
    """

    features: np.ndarray
    aspects: np.ndarray


def sample(table: Rows) -> Rows:
    """Up to A_CLASS X-rays of each class, the same for the same X-rays in any order."""
    chosen = np.zeros(len(table), dtype=bool)
    order = np.argsort(table.sha256, kind="stable")
    for label in (0, 1):
        chosen[order[table.labels[order] == label][:A_CLASS]] = True
    return table.only(chosen)


def changed_features(
    source: Source, manifest: Manifest, table: Rows, spec: FeatureSpec, *, ray_address: str | None
) -> Changed:
    """A table's N X-rays as they are first, then after each of CHANGES in its order."""
    rows = named_rows(manifest, set(table.sha256.tolist()), "sha256", "path")
    places = dict(zip(rows.column("sha256").to_pylist(), rows.column("path").to_pylist(), strict=True))
    paths = [places[name] for name in table.sha256]
    connect(ray_address)
    batches = [tuple(paths[start : start + _BATCH]) for start in range(0, len(paths), _BATCH)]
    common, done, aspects = ray.put((source, spec)), list[np.ndarray](), list[float]()
    with Progress("changing", unit="image", total=len(paths)) as progress:
        for features, wide in in_turn(lambda batch: _changed.remote(common, batch), batches, "changing"):
            done.append(features)
            aspects += wide
            progress.update(len(features))
    return Changed(features=np.concatenate(done), aspects=np.array(aspects))


@task(span="change a batch", max_retries=3)
def _changed(common: tuple[Source, FeatureSpec], paths: tuple[str, ...]) -> tuple[np.ndarray, list[float]]:
    cv2.setNumThreads(1)  # the worker has one core; OpenCV would start a thread for every core of the machine
    source, spec = common
    found, aspects = list[list[np.ndarray]](), list[float]()
    for path in paths:
        pixels = _eight_bits(decode(source.read(path)))
        plain = look(pixels, spec)
        changed = [describe(change(pixels), spec) for change in CHANGES.values()]
        found.append([describe_normalised(plain.pictures, spec), *changed])
        aspects.append(plain.aspect)
    return np.array(found, dtype=np.float32), aspects


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """As a picture that is sent on usually is: JPEG and most viewers' exports have eight bits."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    return np.asarray(np.round((pixels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
