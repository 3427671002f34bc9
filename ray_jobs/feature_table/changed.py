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
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.manifest import Manifest
from ray_jobs.feature_table.cache import check_as_listed
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

    These are of the X-rays as they are, (N,). `there`, bool (M,), says which N of the M that were asked for could be
    read again as they were listed: a training takes hours, and files change and vanish meanwhile.
    """

    features: np.ndarray
    aspects: np.ndarray
    there: np.ndarray


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
    """A table's X-rays as they are first, then after each of CHANGES in its order."""
    rows = named_rows(manifest, set(table.sha256.tolist()), "sha256", "path")
    places = dict(zip(rows.column("sha256").to_pylist(), rows.column("path").to_pylist(), strict=True))
    images = [(places[name], name) for name in table.sha256.tolist()]
    connect(ray_address)
    batches = [tuple(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    common, done, aspects, there = ray.put((source, spec)), list[np.ndarray](), list[float](), list[bool]()
    with Progress("changing", unit="image", total=len(images)) as progress:
        for features, wide, read in in_turn(lambda batch: _changed.remote(common, batch), batches, "changing"):
            done.append(features)
            aspects += wide
            there += read
            progress.update(len(read))
    return Changed(features=np.concatenate(done), aspects=np.array(aspects), there=np.array(there, bool))


@task(span="change a batch", max_retries=3)
def _changed(
    common: tuple[Source, FeatureSpec], images: tuple[tuple[str, str], ...]
) -> tuple[np.ndarray, list[float], list[bool]]:
    cv2.setNumThreads(1)  # the worker has one core; OpenCV would start a thread for every core of the machine
    source, spec = common
    found, aspects, there = list[list[np.ndarray]](), list[float](), list[bool]()
    for path, sha256 in images:
        try:
            data = source.read(path)
            check_as_listed(data, sha256)
        except EntryError:
            there.append(False)
            continue
        there.append(True)
        pixels = _eight_bits(decode(data))
        plain = look(pixels, spec)
        changed = [describe(change(pixels), spec) for change in CHANGES.values()]
        found.append([describe_normalised(plain.pictures, spec), *changed])
        aspects.append(plain.aspect)
    return np.array(found, np.float32).reshape(len(found), 1 + len(CHANGES), len(spec.names)), aspects, there


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """As a picture that is sent on usually is: JPEG and most viewers' exports have eight bits."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    return np.asarray(np.round((pixels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
