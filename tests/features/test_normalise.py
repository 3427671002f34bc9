"""Normalisation: one square picture whatever the size, brightness and contrast."""

import numpy as np
import pytest

from features.normalise import Normalise, normalise
from tests.features.images import picture


@pytest.mark.parametrize("shape", [(32, 32), (224, 224), (50, 900), (1301, 1807)])
def test_any_size_becomes_the_same_square(shape: tuple[int, int]) -> None:
    for image in normalise(picture(*shape), Normalise(side=96)):
        assert image.shape == (96, 96)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()


def test_the_plain_picture_has_mean_nought_and_deviation_one() -> None:
    plain = normalise(picture(224, 224), Normalise()).plain
    # Means of 50,000 pixels in float32.
    assert plain.mean() == pytest.approx(0, abs=1e-4)
    assert plain.std() == pytest.approx(1, abs=1e-4)  # as well


def test_a_shade_over_one_half_all_but_vanishes_from_the_local_picture() -> None:
    pixels = picture(224, 224).astype(np.float32)
    shaded = pixels * np.linspace(0.5, 1.0, 224, dtype=np.float32)
    before, after = normalise(pixels, Normalise()), normalise(shaded, Normalise())
    assert np.abs(after.local - before.local).mean() < 0.5 * np.abs(after.plain - before.plain).mean()


def test_brightness_and_contrast_change_nothing() -> None:
    pixels = picture(300, 280).astype(np.uint16)
    # The square is rounded to whole grey levels, which are 37 times as fine in the first.
    np.testing.assert_allclose(normalise(pixels * 37 + 1000, Normalise()), normalise(pixels, Normalise()), atol=0.01)


def test_eight_and_sixteen_bits_give_the_same() -> None:
    pixels = picture(300, 280)
    # As above: levels 257 times as fine, and the local picture divides by small deviations.
    np.testing.assert_allclose(
        normalise(pixels.astype(np.uint16) * 257, Normalise()), normalise(pixels, Normalise()), atol=0.02
    )


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_flat_picture_is_zero_everywhere(value: int) -> None:
    for dtype in (np.uint8, np.float32):
        pictures = normalise(np.full((224, 224), value / (1 if dtype == np.uint8 else 255), dtype=dtype), Normalise())
        assert not np.any(pictures)


def test_the_input_is_left_as_it_was() -> None:
    pixels = picture()
    before = pixels.copy()
    normalise(pixels, Normalise())
    np.testing.assert_array_equal(pixels, before)
