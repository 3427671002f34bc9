"""Features of pictures that need no label: a folder or bucket of X-rays, described on Ray, nothing kept."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import ray

from features.extract import describe_normalised
from features.look import look
from features.reading.decode import decode
from features.reading.errors import ImageError
from features.spec import FeatureSpec
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import EntryError, TooLittleData
from ray_jobs.dataset.layout import patient_of
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.patience import in_turn
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task
from registry.errors import UsageError

_BATCH = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class UnlabelledFeatures:
    """float32 features (N, D) of pictures, the aspects (N,) of their lungs, and how many more cannot be read."""

    features: np.ndarray
    aspects: np.ndarray
    unread: int


def unlabelled_features(
    source: Source, spec: FeatureSpec, *, least: int, most: int, ray_address: str | None
) -> UnlabelledFeatures:
    """Describe one picture of each patient of a source, or, of more than `most`, that many drawn evenly.

    They are the same ones each time. Pictures of one patient are alike, so several of them would count as more evidence
    than they are. A file whose name tells no patient is one of its own.

    Raises
    ------
    UsageError
        If the source holds no file.
    TooLittleData
        If it holds pictures of fewer than `least` patients, or of fewer any that can be read.
    """
    paths = one_of_each_patient(entry.path for entry in source.entries())
    if not paths:
        raise UsageError(f"{source.uri} holds no pictures, so there is nothing to compare; name another with --data")
    _enough(len(paths), source, least)
    if len(paths) > most:
        chosen = np.random.default_rng(0).choice(len(paths), most, replace=False)
        paths = [paths[index] for index in np.sort(chosen)]
    connect(ray_address)
    common = ray.put((source, spec))
    batches = [tuple(paths[start : start + _BATCH]) for start in range(0, len(paths), _BATCH)]
    found, aspects, unread = list[np.ndarray](), list[float](), 0
    with Progress("describing", unit="image", total=len(paths)) as progress:
        for rows, wide, lost in in_turn(lambda batch: _described.remote(common, batch), batches, "describing"):
            found.append(rows)
            aspects += wide
            unread += lost
            progress.update(len(rows) + lost)
    _enough(len(aspects), source, least, unread=unread)
    return UnlabelledFeatures(features=np.concatenate(found), aspects=np.array(aspects), unread=unread)


def one_of_each_patient(paths: Iterable[str]) -> list[str]:
    """One path, drawn by its text, of each patient whom the names in a folder tell; sorted.

    >>> len(one_of_each_patient(["a/person1_virus_6.jpeg", "a/person1_virus_7.jpeg", "b/1.png", "c/1.png"]))
    3
    """
    found = dict[tuple[str, str], str]()
    for path in sorted(paths, key=lambda path: hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()):
        folder, _, name = path.rpartition("/")
        found.setdefault((folder, patient_of(name)), path)
    return sorted(found.values())


def _enough(count: int, source: Source, least: int, *, unread: int = 0) -> None:
    if count >= least:
        return
    others = f", {unread} more cannot be read" if unread else ""
    raise TooLittleData(
        f"too little data in {source.uri} for a comparison: pictures of {count} patients{others}; at least {least} are "
        "needed. Add X-rays of others, or name other data with --data"
    )


@task(span="describe a batch", max_retries=5)
def _described(common: tuple[Source, FeatureSpec], paths: tuple[str, ...]) -> tuple[np.ndarray, list[float], int]:
    cv2.setNumThreads(1)  # the worker has one core; OpenCV would start a thread for every core of the machine
    source, spec = common
    rows, aspects = list[np.ndarray](), list[float]()
    for path in paths:
        try:
            looked = look(decode(source.read(path)), spec)
        except (ImageError, EntryError):
            continue
        rows.append(describe_normalised(looked.pictures, spec))
        aspects.append(looked.aspect)
    return np.array(rows, np.float32).reshape(len(rows), len(spec.names)), aspects, len(paths) - len(rows)
