"""Models whose behaviour is tested: one fitted to generated X-rays, one to real ones; and a way to look at pictures."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.extract import extract_views
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.layout import patient_of
from ray_jobs.dataset.sources import open_source
from ray_jobs.learning.fit import fit
from ray_jobs.learning.out_of_distribution import fit_detector
from ray_jobs.learning.search_space import candidates
from ray_jobs.learning.table import FeatureTable
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate
from registry.model.bundle import Bundle

TRAINED_ON = 240
REAL_PER_CLASS = 300


def labels_of(paths: Sequence[str]) -> np.ndarray:
    """0 or 1 a path, by its folder."""
    return np.array([int("PNEUMONIA" in path) for path in paths])


def model_of(paths: Sequence[str], images: Sequence[bytes]) -> Bundle:
    """What a training with one candidate makes of some X-rays, without the registry."""
    vectors = np.stack([extract_views(image, DEFAULT_SPEC) for image in images])
    table = FeatureTable(
        features=vectors[:, 0],
        views=vectors[:, 1 : 1 + DEFAULT_SPEC.rows.fitted],
        judged=vectors[:, 1 + DEFAULT_SPEC.rows.fitted :],
        sha256=np.array(paths),
        labels=labels_of(paths),
        patients=np.array([patient_of(Path(path).name) for path in paths]),
        roles=np.full(len(paths), "train"),
    )
    data = TrainingSet.of(table, seed=0)
    fitted = fit(
        cross_validate(candidates(1, seed=0)[0], data.features, data.labels, data.folds, judged=data.judged), data
    )
    return Bundle(
        estimator=fitted.estimator,
        spec=DEFAULT_SPEC,
        threshold=fitted.threshold,
        detector=fit_detector(data),
        evaluation={},
        golden=(),
    )


def pixels_of(image: bytes) -> np.ndarray:
    """The grey pixels of an encoded picture, (H, W) uint8."""
    return cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)


def png_of(pixels: np.ndarray) -> bytes:
    """A picture without loss."""
    return cv2.imencode(".png", np.clip(pixels, 0, 255).round().astype(np.uint8))[1].tobytes()


@pytest.fixture(scope="session")
def model() -> Bundle:
    """A model of the first generated X-rays."""
    source = open_source(f"synthetic:{TRAINED_ON}")
    paths = [entry.path for entry in source.entries()]
    return model_of(paths, [source.read(path) for path in paths])


@pytest.fixture(scope="session")
def fresh() -> tuple[list[bytes], np.ndarray]:
    """Generated X-rays of patients whom the model has not seen, and their labels."""
    source = open_source(f"synthetic:{TRAINED_ON + 120}")
    paths = [entry.path for entry in source.entries()][TRAINED_ON:]
    return [source.read(path) for path in paths], labels_of(paths)


@pytest.fixture(scope="session")
def real_chosen(real_xrays: Path) -> list[str]:
    """Real X-rays at 224 pixels to learn from, none of them of a patient whose original is looked at."""
    looked_at = {patient_of(path.name) for path in (real_xrays / "chest-xray-original").rglob("*.jpeg")}
    chosen = []
    for label in ("NORMAL", "PNEUMONIA"):
        files = sorted((real_xrays / "chest-xray-224" / "train" / label).iterdir())
        others = [path for path in files if patient_of(path.name) not in looked_at]
        chosen += others[:: len(others) // REAL_PER_CLASS][:REAL_PER_CLASS]
    return [str(path) for path in chosen]


@pytest.fixture(scope="session")
def real_model(real_chosen: list[str]) -> Bundle:
    """A model of them."""
    return model_of(real_chosen, [Path(path).read_bytes() for path in real_chosen])
