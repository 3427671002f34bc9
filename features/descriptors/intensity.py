"""Where the picture is light and dark: mean and spread of each cell, and quantiles of the whole."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from features.descriptors.family import FeatureFamily, grid_places
from features.normalise import Normalised


@dataclass(frozen=True, kw_only=True)
class Intensity(FeatureFamily):
    """Cells a side of the grid, and the quantiles taken of the whole picture; both pictures are measured."""

    key: ClassVar[str] = "intensity"
    grid: int = 16
    quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)

    def names(self, side: int) -> tuple[str, ...]:
        """Of each picture the means of all cells, then their standard deviations, then the quantiles."""
        cells = [f"r{row}c{column}" for row in range(self.grid) for column in range(self.grid)]
        numbers = [
            *(f"mean.{cell}" for cell in cells),
            *(f"deviation.{cell}" for cell in cells),
            *(f"quantile.{quantile:g}" for quantile in self.quantiles),
        ]
        return tuple(f"intensity.{picture}.{number}" for picture in Normalised._fields for number in numbers)

    def places(self, side: int) -> np.ndarray:
        cells = grid_places(self.grid)
        return np.tile(np.concatenate([cells, cells, np.full((len(self.quantiles), 4), np.nan)]), (2, 1))

    def compute(self, pictures: Normalised) -> np.ndarray:
        return np.concatenate([intensity(picture, self) for picture in pictures])


def intensity(image: np.ndarray, settings: Intensity) -> np.ndarray:
    """float32 vector from a float32 square image, in the image's own units.

    >>> picture = np.float32([[0, 2], [4, 6]]).repeat(2, axis=0).repeat(2, axis=1)
    >>> intensity(picture, Intensity(grid=1, quantiles=(0.5, 1.0))).tolist()  # mean, deviation, quantiles
    [3.0, 2.2360680103302, 3.0, 6.0]
    """
    size = (settings.grid, settings.grid)
    mean = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    square = cv2.resize(image * image, size, interpolation=cv2.INTER_AREA)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    ordered = np.sort(image[::2, ::2], axis=None)  # a quarter of the pixels tells them
    quantiles = np.interp(np.multiply(settings.quantiles, ordered.size - 1), np.arange(ordered.size), ordered)
    return np.concatenate([mean.ravel(), deviation.ravel(), quantiles]).astype(np.float32)
