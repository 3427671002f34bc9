"""Multi-scale local binary patterns: the texture of a neighbourhood as signs of differences.

T. Ojala, M. Pietikäinen, T. Mäenpää, "Multiresolution gray-scale and rotation invariant texture classification with
local binary patterns", IEEE TPAMI 24(7), 2002. Values equal those of scikit-image's ``local_binary_pattern``
with 8 points and method "uniform", histogrammed in the cells of a grid.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

POINTS = 8
BINS = POINTS + 2


@dataclass(frozen=True, kw_only=True)
class Lbp:
    """Radii in pixels, and cells a side of the grid whose histograms are taken."""

    radii: tuple[float, ...] = (1.0, 2.0, 4.0)
    grid: int = 4

    def names(self) -> tuple[str, ...]:
        """One name a number: radius, cell row and column, pattern (``u0``…``u8``, ``other``)."""
        patterns = [*(f"u{bits}" for bits in range(POINTS + 1)), "other"]
        cells = [f"r{row}c{column}" for row in range(self.grid) for column in range(self.grid)]
        return tuple(f"lbp.R{radius:g}.{cell}.{p}" for radius in self.radii for cell in cells for p in patterns)


def lbp(image: np.ndarray, settings: Lbp) -> np.ndarray:
    """float32 vector of uniform-pattern histograms, each cell's summing to 1, from a float32 square image."""
    offsets, pixels_a_bin = _cells(image.shape[0], image.shape[1], settings.grid)
    histograms = [
        np.bincount((offsets + uniform_patterns(image, radius)).ravel(), minlength=pixels_a_bin.size) / pixels_a_bin
        for radius in settings.radii
    ]
    return np.concatenate(histograms).astype(np.float32)


def uniform_patterns(image: np.ndarray, radius: float) -> np.ndarray:
    """uint8 array like ``image``: ones of the 8-point pattern if it is uniform, else 9. Outside counts as 0."""
    reach = int(np.ceil(radius))
    padded = cv2.copyMakeBorder(image, reach + 1, reach + 1, reach + 1, reach + 1, cv2.BORDER_CONSTANT, value=0)
    rows, columns = image.shape
    centre = padded[reach + 1 : reach + 1 + rows, reach + 1 : reach + 1 + columns]
    codes = np.zeros(image.shape, dtype=np.uint8)
    for point in range(POINTS):
        angle = 2.0 * np.pi * point / POINTS
        neighbour = _shifted(padded, -radius * np.sin(angle), radius * np.cos(angle), reach + 1, image.shape)
        codes |= np.asarray(cv2.compare(neighbour, centre, cv2.CMP_GE), dtype=np.uint8) & np.uint8(1 << point)
    return cv2.LUT(codes, _UNIFORM)


def _shifted(padded: np.ndarray, down: float, right: float, margin: int, shape: tuple[int, ...]) -> np.ndarray:
    """The image moved by a fraction of a pixel, bilinear, exact where it is flat."""
    # Five decimals as in scikit-image, so that whole-pixel neighbours are not interpolated.
    down, right = round(float(down), 5), round(float(right), 5)
    row, column = int(np.floor(down)), int(np.floor(right))
    down, right = down - row, right - column
    top, left = margin + row, margin + column
    rows = 1 if down else 0
    columns = 1 if right else 0
    block = padded[top : top + shape[0] + rows, left : left + shape[1] + columns]
    if columns:
        block = cv2.scaleAdd(cv2.subtract(block[:, 1:], block[:, :-1]), right, block[:, :-1])
    if rows:
        block = cv2.scaleAdd(cv2.subtract(block[1:], block[:-1]), down, block[:-1])
    return block


@lru_cache(maxsize=8)
def _cells(height: int, width: int, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel the first bin of its cell; for every bin how many pixels its cell has."""
    rows = np.arange(height) * grid // height
    columns = np.arange(width) * grid // width
    cell = rows[:, None] * grid + columns[None, :]
    return cell * BINS, np.bincount(cell.ravel(), minlength=grid * grid).repeat(BINS)


def _uniform_table() -> np.ndarray:
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), POINTS + 1).astype(np.uint8)


_UNIFORM = _uniform_table()
