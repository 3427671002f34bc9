"""Where the picture is light and dark: mean and spread of each cell, and quantiles of the whole."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """Cells a side of the grid, and the quantiles taken of the whole picture."""

    grid: int = 8
    quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)

    def names(self, picture: str) -> tuple[str, ...]:
        """Means of all cells, then standard deviations of all cells, then quantiles, of the picture of that name."""
        cells = [f"r{row}c{column}" for row in range(self.grid) for column in range(self.grid)]
        return (
            *(f"intensity.{picture}.mean.{cell}" for cell in cells),
            *(f"intensity.{picture}.deviation.{cell}" for cell in cells),
            *(f"intensity.{picture}.quantile.{quantile:g}" for quantile in self.quantiles),
        )


def intensity(image: np.ndarray, settings: Intensity) -> np.ndarray:
    """float32 vector from a float32 square image, in the image's own units."""
    size = (settings.grid, settings.grid)
    mean = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    square = cv2.resize(image * image, size, interpolation=cv2.INTER_AREA)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    quantiles = np.quantile(image, settings.quantiles)
    return np.concatenate([mean.ravel(), deviation.ravel(), quantiles]).astype(np.float32)
