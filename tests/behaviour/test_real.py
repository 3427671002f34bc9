"""How a model of real X-rays treats the same X-ray in another size and with another aspect."""

import csv
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from tests.behaviour.conftest import labels_of, pixels_of


def small_versions(real_xrays: Path) -> Path:
    """The folder of the X-rays that were squashed to 224 pixels a side."""
    return real_xrays / "chest-xray-224" / "train"


def test_an_original_and_its_small_version_get_the_same_answer(real_xrays, real_model):
    originals = sorted((real_xrays / "chest-xray-original").rglob("*.jpeg"))
    small = [small_versions(real_xrays) / path.parent.name / path.name for path in originals]
    large, reduced = (
        real_model.predict_unchecked([path.read_bytes() for path in paths]) for paths in (originals, small)
    )
    agree(real_model, large, reduced)
    labels = labels_of([str(path) for path in originals])
    assert roc_auc_score(labels, large) > 0.95
    assert roc_auc_score(labels, reduced) > 0.95


def test_a_squashed_x_ray_and_the_same_with_its_aspect_restored_get_the_same_answer(real_xrays, real_model):
    with (real_xrays / "geometry.csv").open() as rows:
        every = list(csv.DictReader(rows))[::40]
    squashed = [(small_versions(real_xrays) / row["label"] / row["file"]).read_bytes() for row in every]
    restored = [
        with_aspect(image, int(row["width"]) / int(row["height"])) for image, row in zip(squashed, every, strict=True)
    ]
    agree(real_model, real_model.predict_unchecked(restored), real_model.predict_unchecked(squashed))


def with_aspect(image: bytes, aspect: float) -> bytes:
    """An encoded picture whose width is `aspect` times its height, its longer side as long as it was."""
    pixels = pixels_of(image)
    side = max(pixels.shape)
    size = (side, round(side / aspect)) if aspect > 1 else (round(side * aspect), side)
    return cv2.imencode(".png", cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))[1].tobytes()


def agree(model, one: np.ndarray, other: np.ndarray) -> None:
    """Probabilities (N,) of the same X-rays differ little, and hardly a label does."""
    assert np.median(np.abs(one - other)) <= 0.02
    assert np.mean((one >= model.threshold) == (other >= model.threshold)) >= 0.98
