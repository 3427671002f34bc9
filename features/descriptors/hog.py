"""Histograms of oriented gradients: which way edges run, cell by cell, in locally normalised blocks.

N. Dalal, B. Triggs, "Histograms of oriented gradients for human detection", CVPR 2005. Values equal those of
scikit-image's ``hog`` with block norm "L2-Hys" (hard orientation bins, no interpolation between cells), which
is why OpenCV's ``HOGDescriptor``, which interpolates, is not used.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import cv2
import numpy as np

from features.descriptors.family import FeatureFamily
from features.descriptors.modulus import modulus
from features.normalise import Normalised

_EPSILON = 1e-5
_CLIP = 0.2


@dataclass(frozen=True, kw_only=True)
class Hog(FeatureFamily):
    """Bins over 180 degrees, cell sides in pixels (one descriptor each), and cells a side of a block."""

    key: ClassVar[str] = "hog"
    orientations: int = 9
    cells: tuple[int, ...] = (16,)
    block: int = 2

    def names(self, side: int) -> tuple[str, ...]:
        """Cell side, block, cell within the block, orientation bin."""
        return tuple(
            f"hog.{cell}px.b{row}-{column}.r{inner_row}c{inner_column}.o{bin_}"
            for cell in self.cells
            for row in range(side // cell - self.block + 1)
            for column in range(side // cell - self.block + 1)
            for inner_row in range(self.block)
            for inner_column in range(self.block)
            for bin_ in range(self.orientations)
        )

    def places(self, side: int) -> np.ndarray:
        parts = []
        for cell in self.cells:
            blocks = side // cell - self.block + 1
            shape = (blocks, blocks, self.block, self.block, self.orientations)
            row, column, inner_row, inner_column, _ = np.indices(shape).reshape(5, -1)
            down, right = row + inner_row, column + inner_column
            parts.append(np.column_stack([down, right, down + 1, right + 1]) * (cell / side))
        return np.concatenate(parts)

    def compute(self, pictures: Normalised) -> np.ndarray:
        return hog(pictures.plain, self)  # its blocks are normalised already


def hog(image: np.ndarray, settings: Hog) -> np.ndarray:
    """float32 vector of block-normalised histograms, from a float32 square image.

    >>> ramp = np.tile(np.arange(32, dtype=np.float32), (32, 1))
    >>> hog(ramp, Hog(orientations=2, cells=(16,), block=1)).tolist()  # four cells, all edges in the first bin
    [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    """
    magnitude, bins = gradients(image, settings.orientations)
    blocks = [
        _blocks(cell_histograms(magnitude, bins, cell, settings.orientations), settings.block)
        for cell in settings.cells
    ]
    return np.concatenate(blocks).astype(np.float32)


def gradients(image: np.ndarray, orientations: int) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude and orientation bin of every pixel; central differences, 0 on the rim.

    >>> magnitude, bins = gradients(np.array([[0, 1, 3]] * 3, dtype=np.float32), 9)
    >>> float(magnitude[1, 1]), int(bins[1, 1])
    (3.0, 0)
    """
    down = np.zeros_like(image)
    right = np.zeros_like(image)
    np.subtract(image[2:], image[:-2], out=down[1:-1])
    np.subtract(image[:, 2:], image[:, :-2], out=right[:, 1:-1])
    magnitude = modulus(right, down)
    # The bin is how many of the bin edges the direction lies beyond: exact, where a fast arctangent is not.
    flip = (down < 0) | ((down == 0) & (right < 0))
    sign = 1 - 2 * flip.astype(np.float32)
    down *= sign
    right *= sign
    bins = np.zeros(image.shape, dtype=np.uint8)
    for edge in range(1, orientations):
        angle = math.pi * edge / orientations
        across = cv2.addWeighted(down, math.cos(angle), right, -math.sin(angle), 0.0)
        bins += (np.asarray(across) >= 0).view(np.uint8)
    return magnitude, bins


def cell_histograms(magnitude: np.ndarray, bins: np.ndarray, cell: int, orientations: int) -> np.ndarray:
    """Mean gradient magnitude a bin, shape (cells down, cells across, orientations), float64.

    >>> cell_histograms(np.ones((2, 2), np.float32), np.array([[0, 1], [1, 1]], np.uint8), 2, 2)
    array([[[0.25, 0.75]]])
    """
    count = magnitude.shape[0] // cell
    length = (count + 1) * (count + 1) * orientations
    which = _first_bins(magnitude.shape[0], cell, orientations) + bins
    sums = np.bincount(which.ravel(), weights=magnitude.ravel(), minlength=length)
    return sums.reshape(count + 1, count + 1, orientations)[:count, :count] / (cell * cell)


@lru_cache(maxsize=8)
def _first_bins(side: int, cell: int, orientations: int) -> np.ndarray:
    """For every pixel the first bin of its cell."""
    index = np.minimum(np.arange(side) // cell, side // cell)  # the remainder falls into a cell that is cut off
    return (index[:, None] * (side // cell + 1) + index[None, :]) * orientations


def _blocks(histograms: np.ndarray, block: int) -> np.ndarray:
    count = histograms.shape[0] - block + 1
    inner = [(row, column) for row in range(block) for column in range(block)]
    parts = [histograms[row : row + count, column : column + count] for row, column in inner]
    flat = np.concatenate(parts, axis=2).reshape(count * count, -1)
    flat = flat / np.sqrt((flat**2).sum(axis=1, keepdims=True) + _EPSILON**2)
    flat = np.minimum(flat, _CLIP)
    flat = flat / np.sqrt((flat**2).sum(axis=1, keepdims=True) + _EPSILON**2)
    return flat.ravel()
