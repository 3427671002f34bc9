"""Gabor energies against plane waves and against scikit-image's kernels."""

import numpy as np
import pytest

from features.descriptors.filter_bank import FilterBank, filter_bank, moduli


def wave(frequency: float, degrees: float, side: int = 96) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side]
    along = columns * np.cos(np.radians(degrees)) + rows * np.sin(np.radians(degrees))
    return np.cos(2 * np.pi * frequency * along).astype(np.float32)


@pytest.mark.parametrize("direction", range(6))
@pytest.mark.parametrize("frequency", [0.25, 0.125])
def test_a_plane_wave_wakes_its_own_filter_most(frequency: float, direction: int) -> None:
    settings = FilterBank(frequencies=(0.25, 0.125), directions=6, grid=1)
    vector = filter_bank(wave(frequency, 30 * direction), settings)
    name = settings.names(64)[int(vector.argmax())]
    assert name == f"gabor.f{frequency:g}.a{30 * direction}.r0c0"
    assert vector.max() == pytest.approx(0.5, abs=0.05)  # half the amplitude: the other half is its mirror frequency


def test_energy_stands_in_the_cell_where_the_wave_is() -> None:
    image = wave(0.25, 0)
    image[:, 48:] = 0
    cells = filter_bank(image, FilterBank(frequencies=(0.25,), directions=1, grid=2)).reshape(2, 2)
    assert (cells[:, 0] > 5 * cells[:, 1]).all()


@pytest.mark.parametrize("directions", [1, 2, 5, 6])
def test_the_length_follows_from_the_settings(directions: int) -> None:
    settings = FilterBank(frequencies=(0.2, 0.1), directions=directions, grid=3)
    vector = filter_bank(wave(0.1, 10), settings)
    assert vector.dtype == np.float32
    assert vector.shape == (2 * directions * 9,) == (len(settings.names(64)),)


def test_energy_grows_with_contrast_alone() -> None:
    image = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    # Fourier transforms in float32, whose seventh digit adds up over the picture.
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
        # Ours is a Fourier transform in float32, the other a sum in float64.
        np.testing.assert_allclose(modulus, np.abs(response), atol=1e-5)
