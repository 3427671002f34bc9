"""Histograms of oriented gradients against hand-computed arrays and against scikit-image."""

import numpy as np
import pytest

from features.descriptors.hog import Hog, cell_histograms, gradients, hog


def test_a_ramp_to_the_right_falls_into_the_first_bin() -> None:
    ramp = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    magnitude, bins = gradients(ramp, 9)
    np.testing.assert_array_equal(magnitude[:, 1:-1], 2.0)
    np.testing.assert_array_equal(magnitude[:, [0, -1]], 0.0)
    np.testing.assert_array_equal(bins[:, 1:-1], 0)


@pytest.mark.parametrize("degrees", [0, 25, 50, 95, 135, 170])
def test_the_bin_is_the_direction_over_twenty_degrees(degrees: int) -> None:
    rows, columns = np.mgrid[0:16, 0:16].astype(np.float32)
    ramp = np.cos(np.radians(degrees)) * columns + np.sin(np.radians(degrees)) * rows
    for image in (ramp, -ramp):  # the sign of an edge does not matter
        _, bins = gradients(image.astype(np.float32), 9)
        assert (bins[1:-1, 1:-1] == degrees // 20).all()


def test_a_cell_holds_the_mean_magnitude_of_its_pixels() -> None:
    magnitude = np.arange(16, dtype=np.float32).reshape(4, 4)
    bins = np.array([[0, 1] * 2] * 4, dtype=np.uint8)
    cells = cell_histograms(magnitude, bins, 2, 2)
    assert cells.shape == (2, 2, 2)
    np.testing.assert_allclose(cells[0, 0], [(0 + 4) / 4, (1 + 5) / 4])
    np.testing.assert_allclose(cells[1, 1], [(10 + 14) / 4, (11 + 15) / 4])


@pytest.mark.parametrize(("side", "cell", "block"), [(128, 16, 2), (100, 16, 2), (96, 32, 1), (96, 8, 3)])
def test_the_length_follows_from_the_cells(side: int, cell: int, block: int) -> None:
    settings = Hog(cells=(cell,), block=block)
    vector = hog(np.random.default_rng(0).normal(size=(side, side)).astype(np.float32), settings)
    blocks = side // cell - block + 1
    assert vector.dtype == np.float32
    assert vector.shape == (blocks * blocks * block * block * 9,) == (len(settings.names(side)),)


def test_brightness_and_contrast_change_nothing() -> None:
    image = np.random.default_rng(1).uniform(1, 2, size=(64, 64)).astype(np.float32)
    # In float32, and the constant that keeps a flat block from a division by nought weighs less after the contrast.
    np.testing.assert_allclose(hog(image * 40 + 100, Hog()), hog(image, Hog()), atol=2e-3)


@pytest.mark.parametrize("cell", [8, 16, 24])
def test_the_vector_is_that_of_scikit_image(cell: int) -> None:
    feature = pytest.importorskip("skimage.feature")
    image = np.random.default_rng(2).normal(size=(100, 100)).astype(np.float32)
    expected = feature.hog(image.astype(np.float64), 9, (cell, cell), (2, 2), "L2-Hys")
    # Ours is in float32.
    np.testing.assert_allclose(hog(image, Hog(cells=(cell,))), expected, atol=1e-6)
