"""Multi-scale local binary patterns: the texture of a neighbourhood as signs of differences.

T. Ojala, M. Pietikäinen, T. Mäenpää, "Multiresolution gray-scale and rotation invariant texture classification with
local binary patterns", IEEE TPAMI 24(7), 2002. Values equal those of scikit-image's ``local_binary_pattern``
with 8 points and method "uniform", histogrammed in the cells of a grid.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import cv2
import numpy as np

from features.descriptors.family import FeatureFamily, grid_places
from features.half import halved
from features.normalise import Normalised

POINTS = 8
BINS = POINTS + 2
# Pixels, or up to twice as many, at which wide patterns are measured on a smaller picture: single pixels far from the
# centre would say more about noise and sharpness than about texture.
_LEAST_RADIUS = 2.0


@dataclass(frozen=True, kw_only=True)
class Lbp(FeatureFamily):
    """Radii in pixels, and cells a side of the grid whose histograms are taken."""

    key: ClassVar[str] = "lbp"
    radii: tuple[float, ...] = (1.0, 2.0, 4.0)
    grid: int = 4

    def names(self, side: int) -> tuple[str, ...]:
        """Radius, cell row and column, pattern (``u0``…``u8``, ``other``)."""
        patterns = [*(f"u{bits}" for bits in range(POINTS + 1)), "other"]
        cells = [f"r{row}c{column}" for row in range(self.grid) for column in range(self.grid)]
        return tuple(f"lbp.R{radius:g}.{cell}.{p}" for radius in self.radii for cell in cells for p in patterns)

    def places(self, side: int) -> np.ndarray:
        return np.tile(np.repeat(grid_places(self.grid), BINS, axis=0), (len(self.radii), 1))

    def compute(self, pictures: Normalised) -> np.ndarray:
        return lbp(pictures.plain, self)


def lbp(image: np.ndarray, settings: Lbp) -> np.ndarray:
    """float32 vector of uniform-pattern histograms, each cell's summing to 1, from a float32 square image.

    >>> flat = np.ones((8, 8), np.float32)
    >>> histogram = lbp(flat, Lbp(radii=(1.0,), grid=1))
    >>> round(float(histogram.sum()), 3), int(histogram.argmax())  # inside, all eight neighbours are as bright
    (1.0, 8)
    """
    histograms = [_histograms(*halved(image, radius, least=_LEAST_RADIUS), settings.grid) for radius in settings.radii]
    return np.concatenate(histograms).astype(np.float32)


def _histograms(image: np.ndarray, radius: float, grid: int) -> np.ndarray:
    offsets, pixels_a_bin = _cells(image.shape[0], image.shape[1], grid)
    found = np.bincount((offsets + uniform_patterns(image, radius)).ravel(), minlength=pixels_a_bin.size)
    return np.asarray(found / pixels_a_bin)


def uniform_patterns(image: np.ndarray, radius: float) -> np.ndarray:
    """uint8 array like ``image``: ones of the 8-point pattern if it is uniform, else 9. Outside counts as 0.

    >>> uniform_patterns(np.array([[0, 0, 0], [0, 5, 0], [0, 0, 0]], dtype=np.float32), 1.0)[1, 1].item()
    0
    """
    rows, columns = image.shape
    margin = int(np.ceil(radius)) + 1
    padded = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    moved = dict[float, np.ndarray]()  # the eight points stand in five columns
    codes = np.zeros(image.shape, dtype=np.uint8)
    for point, (down, right) in enumerate(_circle(radius)):
        if right not in moved:
            moved[right] = _moved_right(padded, right, margin, columns)
        neighbour = _moved_down(moved[right], down, margin, rows)
        codes |= np.asarray(cv2.compare(neighbour, image, cv2.CMP_GE), dtype=np.uint8) & np.uint8(1 << point)
    return cv2.LUT(codes, _UNIFORM)


@lru_cache(maxsize=8)
def _circle(radius: float) -> tuple[tuple[float, float], ...]:
    """``(down, right)`` of each point, in pixels."""
    # Five decimals as in scikit-image, so that whole-pixel neighbours are not interpolated.
    angles = 2.0 * np.pi * np.arange(POINTS) / POINTS
    return tuple((round(float(-radius * np.sin(a)), 5), round(float(radius * np.cos(a)), 5)) for a in angles)


def _moved_right(padded: np.ndarray, offset: float, margin: int, columns: int) -> np.ndarray:
    """Every row's ``columns`` values from a fraction of a pixel further right, linear, exact where it is flat."""
    start = margin + math.floor(offset)
    near = padded[:, start : start + columns]
    part = offset - math.floor(offset)
    return _between(near, padded[:, start + 1 : start + 1 + columns], part) if part else near


def _moved_down(block: np.ndarray, offset: float, margin: int, rows: int) -> np.ndarray:
    """The same, downwards."""
    start = margin + math.floor(offset)
    near = block[start : start + rows]
    part = offset - math.floor(offset)
    return _between(near, block[start + 1 : start + 1 + rows], part) if part else near


def _between(near: np.ndarray, far: np.ndarray, part: float) -> np.ndarray:
    return cv2.scaleAdd(cv2.subtract(far, near), part, near)


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
