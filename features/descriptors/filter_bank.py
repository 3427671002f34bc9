"""Gabor filter-bank energies: how much of each frequency and direction there is, region by region.

A. K. Jain, F. Farrokhnia, "Unsupervised texture segmentation using Gabor filters", Pattern Recognition 24(12), 1991.
Kernels equal scikit-image's ``gabor_kernel`` with a round envelope; the modulus of the response to each is averaged
in the cells of a grid. Low frequencies are measured in a pyramid, where the picture is small.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import cv2
import numpy as np

from features.descriptors.family import FeatureFamily, grid_places
from features.descriptors.modulus import modulus
from features.half import halved
from features.normalise import Normalised

_STANDARD_DEVIATIONS = 3.0
_SHORTEST = 4.0  # pixels: waves as long as that, or up to twice as long, are measured in each step of the pyramid
_NO_WAVE = 1e-12  # a right angle's cosine, in floating point, is not quite 0


@dataclass(frozen=True, kw_only=True)
class FilterBank(FeatureFamily):
    """Frequencies in cycles a pixel, directions over 180 degrees, bandwidth in octaves, cells a side of the grid."""

    key: ClassVar[str] = "filter_bank"
    frequencies: tuple[float, ...] = (0.25, 0.125, 0.0625)
    directions: int = 6
    bandwidth: float = 1.0
    grid: int = 8

    def names(self, side: int) -> tuple[str, ...]:
        """Frequency, direction in degrees, cell row and column."""
        return tuple(
            f"gabor.f{frequency:g}.a{180 * direction / self.directions:g}.r{row}c{column}"
            for frequency in self.frequencies
            for direction in range(self.directions)
            for row in range(self.grid)
            for column in range(self.grid)
        )

    def places(self, side: int) -> np.ndarray:
        return np.tile(grid_places(self.grid), (len(self.frequencies) * self.directions, 1))

    def compute(self, pictures: Normalised) -> np.ndarray:
        return filter_bank(pictures.local, self)


def filter_bank(image: np.ndarray, settings: FilterBank) -> np.ndarray:
    """float32 vector of mean moduli, from a float32 square image; outside it is mirrored.

    A wave of 8 pixels across wakes the filter of 0.125 cycles a pixel in direction 0.

    >>> wave = np.tile(np.cos(np.pi / 4 * np.arange(64, dtype=np.float32)), (64, 1))
    >>> settings = FilterBank(grid=1)
    >>> settings.names(64)[int(filter_bank(wave, settings).argmax())]
    'gabor.f0.125.a0.r0c0'
    """
    size = (settings.grid, settings.grid)
    energies = []
    for frequency in settings.frequencies:
        small, wave = halved(image, 1 / frequency, least=_SHORTEST)
        responses = moduli(small, 1 / wave, settings.directions, settings.bandwidth)
        energies += [cv2.resize(response, size, interpolation=cv2.INTER_AREA).ravel() for response in responses]
    return np.concatenate(energies).astype(np.float32)


def moduli(image: np.ndarray, frequency: float, directions: int, bandwidth: float) -> list[np.ndarray]:
    """Moduli for all directions, of every second row and column: they change as slowly as the envelope does.

    Directions a and 180° − a are mirror images and share their filterings.

    >>> [response.shape for response in moduli(np.zeros((64, 64), np.float32), 0.25, 2, 1.0)]
    [(32, 32), (32, 32)]
    """
    moduli: list[np.ndarray] = [image] * directions
    for direction in range(directions // 2 + 1):
        across, down = _waves(frequency, math.pi * direction / directions, bandwidth)
        rows = (_filtered(image, wave[None])[:, ::2] for wave in across)
        products = [[_filtered(row, wave[:, None])[::2] for wave in down] for row in rows]
        if len(across) == 1 or len(down) == 1:
            moduli[direction] = modulus(*(product for row in products for product in row))
            continue
        even, odd = products
        moduli[direction] = modulus(even[0] - odd[1], odd[0] + even[1])
        moduli[directions - direction] = modulus(even[0] + odd[1], odd[0] - even[1])
    return moduli


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT))


@lru_cache(maxsize=64)
def _waves(frequency: float, angle: float, bandwidth: float) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Cosine and sine waves, across and down: with a round envelope the kernel is made of their products.

    Along the crests of the wave the sine is 0 and left out.
    """
    octaves = 2.0**bandwidth
    sigma = math.sqrt(math.log(2.0) / 2.0) / math.pi * (octaves + 1.0) / (octaves - 1.0) / frequency
    reach = math.ceil(max(_STANDARD_DEVIATIONS * sigma * max(abs(math.cos(angle)), abs(math.sin(angle))), 1.0))
    offsets = np.arange(-reach, reach + 1)
    envelope = np.exp(-0.5 * (offsets / sigma) ** 2) / (math.sqrt(2.0 * math.pi) * sigma)

    def pair(part: float) -> tuple[np.ndarray, ...]:
        phase = 2.0 * math.pi * frequency * part * offsets
        waves = (np.cos,) if abs(part) < _NO_WAVE else (np.cos, np.sin)
        return tuple((envelope * wave(phase)).astype(np.float32) for wave in waves)

    return pair(math.cos(angle)), pair(math.sin(angle))
