"""A border painted over an X-ray is told where it reaches the lungs; one around that of a healthy child is not."""

from pathlib import Path

import numpy as np
import pytest

from features.look import look
from ray_jobs.dataset.layout import patient_of
from ray_jobs.dataset.split import is_held_out
from ray_jobs.learning.changes import bordered
from tests.behaviour.conftest import pixels_of

LOOKED_AT = 100  # of each class
LARGE, SMALL = 24, 8  # of 224 pixels


@pytest.fixture(scope="module")
def pictures(real_xrays: Path) -> dict[str, list[np.ndarray]]:
    """X-rays of patients whom neither the locator nor a training has seen."""
    found = {}
    for label in ("NORMAL", "PNEUMONIA"):
        files = sorted((real_xrays / "chest-xray-224" / "train" / label).iterdir())
        others = [path for path in files if is_held_out(patient_of(path.name))]
        found[label] = [pixels_of(path.read_bytes()) for path in others[:: len(others) // LOOKED_AT][:LOOKED_AT]]
    return found


def told(pictures: list[np.ndarray]) -> float:
    """Of how many the lungs reach a border."""
    return float(np.mean([look(pixels).lungs_at_border for pixels in pictures]))


def painted(pixels: np.ndarray, rim: int) -> np.ndarray:
    """Black over the outermost pixels, so that what they showed is gone."""
    inside = np.zeros_like(pixels)
    inside[rim:-rim, rim:-rim] = pixels[rim:-rim, rim:-rim]
    return inside


def test_hardly_an_x_ray_without_a_border_is_told_to_have_one_at_its_lungs(pictures):
    assert told(pictures["NORMAL"] + pictures["PNEUMONIA"]) <= 0.03


def test_a_border_around_the_x_ray_is_told_of_hardly_a_healthy_child(pictures):
    """Of pneumonias it is told where the lungs reach the rim of the X-ray itself, as a quarter of them do."""
    assert told([bordered(pixels, 0.1, 0) for pixels in pictures["NORMAL"]]) <= 0.03


def test_the_more_a_border_covers_the_more_often_it_is_told(pictures):
    large, small = (
        told([painted(pixels, rim) for pixels in pictures["NORMAL"] + pictures["PNEUMONIA"]]) for rim in (LARGE, SMALL)
    )
    assert large >= 0.75
    assert small < large
