"""Gabor energies against plane waves and against scikit-image's kernels."""

import numpy as np
import pytest

from features.descriptors.filter_bank import FilterBank, filter_bank, moduli
from features.half import halved


def wave(frequency: float, degrees: float, side: int = 96) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side]
    along = columns * np.cos(np.radians(degrees)) + rows * np.sin(np.radians(degrees))
    return np.cos(2 * np.pi * frequency * along).astype(np.float32)


@pytest.mark.parametrize("direction", range(6))
@pytest.mark.parametrize("frequency", [0.25, 0.125, 0.0625])
def test_a_plane_wave_wakes_its_own_filter_most(frequency: float, direction: int) -> None:
    settings = FilterBank(frequencies=(0.25, 0.125, 0.0625), directions=6, grid=1)
    along = np.cos(np.radians(30 * direction)), np.sin(np.radians(30 * direction))
    vector = filter_bank(wave(frequency, 30 * direction, side=256), settings)
    name = settings.names(64)[int(vector.argmax())]
    assert name == f"gabor.f{frequency:g}.a{30 * direction}.r0c0"
    # Half the amplitude: the other half is its mirror frequency. Each halving averages two pixels down and two across.
    amplitude, there = 0.5, frequency
    while there < 0.25:
        amplitude *= np.cos(np.pi * there * along[0]) * np.cos(np.pi * there * along[1])
        there *= 2
    # A tenth of it, for filters that are cut off at three deviations and wake to their mirror frequency as well.
    assert vector.max() == pytest.approx(amplitude, abs=0.05)


def test_energy_stands_in_the_cell_where_the_wave_is() -> None:
    image = wave(0.25, 0)
    image[:, 48:] = 0
    cells = filter_bank(image, FilterBank(frequencies=(0.25,), directions=1, grid=2)).reshape(2, 2)
    assert (cells[:, 0] > 5 * cells[:, 1]).all()


@pytest.mark.parametrize(
    ("frequency", "side", "there"), [(0.3, 64, 0.3), (0.2, 64, 0.2), (0.11, 32, 0.22), (0.05, 16, 0.2)]
)
def test_a_frequency_is_measured_where_the_picture_is_smallest_and_still_holds_it(
    frequency: float, side: int, there: float
) -> None:
    image, found = halved(np.arange(64 * 64, dtype=np.float32).reshape(64, 64), 1 / frequency, least=4.0)
    assert (image.shape, 1 / found) == ((side, side), pytest.approx(there))
    assert image[0, 0] == np.arange(64 * 64).reshape(64, 64)[: 64 // side, : 64 // side].mean()


@pytest.mark.parametrize("directions", [1, 2, 5, 6])
def test_the_length_follows_from_the_settings(directions: int) -> None:
    settings = FilterBank(frequencies=(0.2, 0.1), directions=directions, grid=3)
    vector = filter_bank(wave(0.1, 10), settings)
    assert vector.dtype == np.float32
    assert vector.shape == (2 * directions * 9,) == (len(settings.names(64)),)


def test_energy_grows_with_contrast_alone() -> None:
    image = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    # Sums in float32, whose seventh digit adds up over the picture.
    np.testing.assert_allclose(filter_bank(3 * image, FilterBank()), 3 * filter_bank(image, FilterBank()), rtol=1e-4)


@pytest.mark.parametrize("directions", [5, 6])
@pytest.mark.parametrize("frequency", [0.3, 0.11])
def test_the_moduli_are_those_of_scikit_images_kernels(frequency: float, directions: int) -> None:
    filters = pytest.importorskip("skimage.filters")
    ndimage = pytest.importorskip("scipy.ndimage")
    image = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
    for direction, modulus in enumerate(moduli(image, frequency, directions, 1.0)):
        kernel = filters.gabor_kernel(frequency, np.pi * direction / directions, bandwidth=1.0)
        response = ndimage.convolve(image.astype(np.float64), kernel, mode="reflect")
        # Ours are sums in float32, the other's in float64.
        np.testing.assert_allclose(modulus, np.abs(response)[::2, ::2], atol=1e-5)
