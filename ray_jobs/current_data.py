"""The current X-rays, which are compared with what a version was judged by: what serving saw, or pictures anywhere."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.unlabelled import unlabelled_features
from ray_jobs.learning.sample import Sample
from ray_jobs.learning.shift import LEAST
from registry.model.versions import ModelVersion, fetch
from registry.records.feedback import read_feedback
from registry.records.predictions import aspects, hashes, made_by, matrix, read
from registry.settings import Settings
from registry.state import State

MOST = 5_000  # pictures compared; more would tell no more and take gigabytes


@dataclass(frozen=True, kw_only=True)
class CurrentData:
    """Features (N, D), probabilities (N,) and aspects (N,) of X-rays, what they are, and what people said of answers.

    Aspects are of the lungs, NaN where they are not known. Of more than are compared, N is a sample of `count`.
    """

    xrays: str
    count: int
    features: np.ndarray
    scores: np.ndarray
    aspects: np.ndarray
    confirmed: int = 0
    judged: int = 0


def read_data(settings: Settings, version: ModelVersion, uri: str) -> CurrentData:
    """The pictures below an address, whatever their labels, as a version sees them; raises where they are too few."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")
    source = open_source(uri)
    found = unlabelled_features(source, bundle.spec, least=LEAST, most=MOST, ray_address=settings.ray_address)
    unread = f", {found.unread} more cannot be read" if found.unread else ""
    scores = bundle.probability(found.features)
    return CurrentData(
        xrays=f"{len(scores)} pictures of {uri}, one of each patient{unread}",
        count=len(scores),
        features=found.features,
        scores=scores,
        aspects=found.aspects,
    )


def read_served(state: State, version: ModelVersion, days: float) -> CurrentData:
    """The records of a version and the feedback on it of some days; records of another feature spec are left out.

    A picture that was asked about several times counts once. Of many, a random sample is kept.
    """
    since, seen = datetime.now(UTC) - timedelta(days=days), set[str]()
    sample, count = Sample(MOST), 0
    for spec, table in read(state, since=since):
        mine = _once(table.filter(made_by(table, version.version, version.digest)), seen)
        if spec == version.spec_fingerprint and len(mine):
            count += len(mine)
            sample.add(matrix(mine), mine.column("probability").to_numpy(), aspects(mine))
    given = [
        item
        for item in read_feedback(state)
        if item.is_of(version.version, version.digest) and item.predicted_at >= since
    ]
    features, scores, wide = sample.columns() if count else (np.zeros((0, 0), np.float32), np.zeros(0), np.zeros(0))
    return CurrentData(
        xrays=f"{count} pictures in {days:g} days",
        count=count,
        features=features,
        scores=scores,
        aspects=wide,
        confirmed=sum(item.confirms for item in given),
        judged=len(given),
    )


def _once(table: pa.Table, seen: set[str]) -> pa.Table:
    """The first row of each picture that was not seen yet; files of before have no hash, and all their rows count."""
    new = list[bool]()
    for sha256 in hashes(table):
        new.append(not sha256 or sha256 not in seen)
        seen.add(sha256)
    return table.filter(pa.array(new, pa.bool_()))
