"""Local binary patterns against hand-computed arrays and against scikit-image."""

import warnings

import numpy as np
import pytest

from features.descriptors.lbp import Lbp, lbp, uniform_patterns
from features.half import halved


def centre_pattern(rows: list[list[int]]) -> int:
    return int(uniform_patterns(np.array(rows, dtype=np.float32), 1.0)[1, 1])


def test_a_peak_has_no_neighbour_at_or_above_it() -> None:
    assert centre_pattern([[0, 0, 0], [0, 9, 0], [0, 0, 0]]) == 0


def test_a_flat_neighbourhood_has_all_eight() -> None:
    assert centre_pattern([[5, 5, 5], [5, 5, 5], [5, 5, 5]]) == 8


def test_an_edge_counts_its_bright_side() -> None:
    # Right column above the centre, the column through the centre level with it: 1 + 2 diagonals + 2 = 5.
    assert centre_pattern([[0, 5, 9], [0, 5, 9], [0, 5, 9]]) == 5


def test_four_alternating_arms_are_not_uniform() -> None:
    assert centre_pattern([[0, 9, 0], [9, 5, 9], [0, 9, 0]]) == 9


def test_every_cell_of_the_histogram_sums_to_one() -> None:
    settings = Lbp(radii=(1.0, 3.0), grid=3)
    image = np.random.default_rng(0).normal(size=(50, 50)).astype(np.float32)
    vector = lbp(image, settings)
    assert vector.dtype == np.float32
    assert vector.shape == (2 * 9 * 10,) == (len(settings.names(64)),)
    # Shares in float32.
    np.testing.assert_allclose(vector.reshape(18, 10).sum(axis=1), 1.0, rtol=1e-6)


def test_a_histogram_is_that_of_its_cell() -> None:
    image = np.zeros((20, 20), dtype=np.float32)
    image[5, 5] = 1.0  # one peak in the first cell
    vector = lbp(image, Lbp(radii=(1.0,), grid=2)).reshape(4, 10)
    assert vector[0, 0] == pytest.approx(1 / 100)
    assert (vector[1:, 0] == 0).all()


@pytest.mark.parametrize(("radius", "side", "there"), [(1.0, 64, 1.0), (3.9, 64, 3.9), (4.0, 32, 2.0), (9.0, 16, 2.25)])
def test_a_wide_radius_is_measured_where_the_picture_is_small(radius: float, side: int, there: float) -> None:
    image, found = halved(np.zeros((64, 64), np.float32), radius, least=2.0)
    assert (image.shape, found) == ((side, side), there)


@pytest.mark.parametrize("gain", [0.01, 3.0, 1000.0])
def test_a_positive_gain_changes_nothing(gain: float) -> None:
    image = np.random.default_rng(1).uniform(1, 2, size=(64, 64)).astype(np.float32)
    changed = lbp(np.float32(gain) * image, Lbp()) != lbp(image, Lbp())
    assert changed.mean() < 0.01  # only what rounding decides


@pytest.mark.parametrize("radius", [1.0, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("side", [33, 64])
def test_the_patterns_are_those_of_scikit_image(radius: float, side: int) -> None:
    feature = pytest.importorskip("skimage.feature")
    image = np.random.default_rng(2).normal(size=(side, side)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of floating-point images
        expected = feature.local_binary_pattern(image.astype(np.float64), 8, radius, "uniform")
    np.testing.assert_array_equal(uniform_patterns(image, radius), expected)
