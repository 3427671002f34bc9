"""A hundred real X-rays that were exposed, sharpened, blurred or sent otherwise are drift; a hundred others are not."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.acquisition import sharpened
from features.extract import describe_normalised
from features.look import look
from ray_jobs.dataset.layout import patient_of
from ray_jobs.learning.changes import compressed, exposed, rescaled
from ray_jobs.learning.shift import DriftResult, compare
from tests.behaviour.conftest import pixels_of

Seen = tuple[np.ndarray, np.ndarray]
BEFORE, TODAY = 150, 50  # X-rays of each class
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gamma 0.6": lambda pixels: exposed(pixels, 0.6),
    "blur": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 1.0),
    "sharpening": lambda pixels: (255 * sharpened(pixels.astype(np.float32) / 255, 1.0)).round().astype(np.uint8),
    "JPEG 20": lambda pixels: compressed(pixels, 20),
    "inverted": lambda pixels: 255 - pixels,
}


@pytest.fixture(scope="module")
def pictures(real_xrays: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Real X-rays of before and of today, of other patients, the first half of each healthy."""
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for label in ("NORMAL", "PNEUMONIA"):
        files = sorted((real_xrays / "chest-xray-224" / "train" / label).iterdir())
        by_patient = {patient_of(path.name): path for path in files}
        chosen = [by_patient[name] for name in np.random.default_rng(0).permutation(sorted(by_patient))]
        for side, part in zip(sides, (chosen[:BEFORE], chosen[BEFORE : BEFORE + TODAY]), strict=True):
            side.extend(pixels_of(path.read_bytes()) for path in part)
    return sides


@pytest.fixture(scope="module")
def before(pictures: tuple[list[np.ndarray], list[np.ndarray]]) -> Seen:
    return seen(pictures[0])


def seen(pictures: list[np.ndarray]) -> Seen:
    """Features (N, D) of pictures, and the aspects (N,) of their lungs."""
    looks = [look(pixels) for pixels in pictures]
    features = np.stack([describe_normalised(looked.pictures) for looked in looks])
    return features, np.array([looked.aspect for looked in looks])


def compared(before: Seen, today: list[np.ndarray]) -> DriftResult:
    """As if every answer were right."""
    scores = (np.repeat([0.1, 0.9], count) for count in (BEFORE, TODAY))
    features, aspects = seen(today)
    return compare(before[0], features, *scores, threshold=0.5, aspects=(before[1], aspects))


def test_x_rays_of_the_same_place_are_no_drift(pictures, before) -> None:
    assert not compared(before, pictures[1]).drift


@pytest.mark.parametrize("name", CHANGES)
def test_x_rays_that_were_taken_or_sent_otherwise_are_drift(pictures, before, name: str) -> None:
    found = compared(before, [CHANGES[name](pixels) for pixels in pictures[1]])
    assert found.drift
    assert found.separation.shifted  # whatever share of the features has shifted


def test_x_rays_that_were_stretched_are_drift_by_their_lungs_which_no_feature_shows(pictures, before) -> None:
    found = compared(before, [rescaled(pixels, 1.2, 1.0) for pixels in pictures[1]])
    assert found.drift
    assert found.stretch
    assert found.stretch.shifted
    assert found.stretch.factor == pytest.approx(1.2, abs=0.06)  # the median of 100 whose own deviation is a tenth
    assert not found.separation.shifted
