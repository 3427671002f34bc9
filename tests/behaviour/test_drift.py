"""A hundred real X-rays that were exposed, sharpened, blurred or sent otherwise are drift; a hundred others are not."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.acquisition import sharpened
from features.extract import describe
from ray_jobs.dataset.layout import patient_of
from ray_jobs.learning.changes import compressed, exposed
from ray_jobs.learning.shift import DriftResult, compare
from tests.behaviour.conftest import pixels_of

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
def before(pictures: tuple[list[np.ndarray], list[np.ndarray]]) -> np.ndarray:
    return np.stack([describe(pixels) for pixels in pictures[0]])


def compared(before: np.ndarray, today: list[np.ndarray]) -> DriftResult:
    """As if every answer were right."""
    scores = (np.repeat([0.1, 0.9], count) for count in (BEFORE, TODAY))
    return compare(before, np.stack([describe(pixels) for pixels in today]), *scores, threshold=0.5)


def test_x_rays_of_the_same_place_are_no_drift(pictures, before) -> None:
    assert not compared(before, pictures[1]).drift


@pytest.mark.parametrize("name", CHANGES)
def test_x_rays_that_were_taken_or_sent_otherwise_are_drift(pictures, before, name: str) -> None:
    found = compared(before, [CHANGES[name](pixels) for pixels in pictures[1]])
    assert found.drift
    assert found.separation.shifted  # whatever share of the features has shifted
