"""A site's own labels, and what the version in Production said of the same X-rays."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ray_jobs.dataset.errors import TooLittleData
from ray_jobs.dataset.sources import kind_of
from ray_jobs.learning.recalibrate import LEAST
from ray_jobs.tracking.labelled import labelled_xrays, trained_on
from ray_jobs.tracking.lineage import lineage_of
from registry.errors import UsageError
from registry.model.bundle import POSITIVE, Bundle
from registry.model.versions import ModelVersion, fetch
from registry.records.feedback import read_feedback
from registry.settings import Settings
from registry.state import open_state

FEEDBACK = "feedback"


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """Labels (N,) of a site, what the version in Production said of these X-rays, (N,), and their patients, (N,).

    `name` says where they come from, `digest` stands for all of it.
    """

    version: ModelVersion
    bundle: Bundle
    name: str
    digest: str
    labels: np.ndarray
    probabilities: np.ndarray
    patients: np.ndarray


def labels_of_data(settings: Settings, version: ModelVersion) -> Site:
    """The labelled X-rays that DATA_URI names; raises DatasetError where they are too few."""
    if kind_of(settings.data_uri) == "generated" and not lineage_of(settings, version).generated:
        raise UsageError(
            f"{settings.data_uri} are generated pictures, and {version} learnt from real X-rays. Name a folder or "
            "bucket of the site's own X-rays with --data, or use --feedback"
        )
    found = labelled_xrays(settings, version, least=(LEAST, LEAST // 2), purpose="a recalibration")
    manifest = found.prepared.manifest
    return Site(
        version=version,
        bundle=found.bundle,
        name=manifest.uri,
        digest=manifest.digest,
        labels=found.table.labels,
        probabilities=found.probabilities,
        patients=found.table.patients,
    )


def labels_of_feedback(settings: Settings, version: ModelVersion) -> Site:
    """What people said of a version's answers; raises TooLittleData where they said too little.

    A picture that was asked about several times counts once, by the newest word. One that the version was trained on
    does not count.
    """
    state = open_state(settings.state_uri)
    known = trained_on(settings, version, state)
    newest = {
        item.sha256 or item.prediction_id: item
        for item in read_feedback(state)
        if item.is_of(version.version, version.digest)
    }
    given = [item for item in newest.values() if item.sha256 not in known]
    labels = np.array([int(item.label == POSITIVE) for item in given], dtype=int)
    counts = {"NORMAL": int((labels == 0).sum()), "PNEUMONIA": int((labels == 1).sum())}
    if min(counts.values()) < LEAST:
        found = ", ".join(f"{count} {label}" for label, count in counts.items())
        raise TooLittleData(
            f"people have judged too few answers of {version} for a recalibration: {found}; at least {LEAST} of each "
            "are needed. Collect more on the page, or name labelled X-rays with --data"
        )
    ids = [item.prediction_id for item in given]
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")
    text = "\n".join(sorted(f"{item.prediction_id} {item.label}" for item in given))
    return Site(
        version=version,
        bundle=bundle,
        name=FEEDBACK,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        labels=labels,
        probabilities=np.array([item.probability for item in given]),
        patients=np.array(ids),  # whose X-ray it was is not kept
    )
