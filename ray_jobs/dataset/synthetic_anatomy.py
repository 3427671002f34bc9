"""The anatomy that a synthetic chest X-ray shows: each function draws one part as density or as cover, SIZE × SIZE.

Right and left are the viewer's. Density is in arbitrary units, about 0.56 for soft tissue; cover is in 0…1.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SIZE = 256
"""Height and width of a picture, in pixels."""

Field = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.uint8]
Line = npt.NDArray[np.int32]

# A column and a row, so that what depends on one coordinate is computed once a line.
ROWS = (np.arange(SIZE, dtype=np.float32) / SIZE)[:, None]
COLUMNS = ROWS.T


@dataclass(frozen=True, slots=True)
class Chest:
    """The anatomy of one patient, in fractions of the picture's side, right and left as the viewer sees them."""

    middle: float
    apex: float
    width: float
    dome: tuple[float, float]
    heart: tuple[float, float, float]
    ribs: int
    slope: float
    shoulder: float


def chest_of(random: np.random.Generator) -> Chest:
    """The anatomy of some child."""
    dome = float(random.uniform(0.68, 0.77))
    return Chest(
        middle=0.5 + float(random.normal(0, 0.01)),
        apex=float(random.uniform(0.15, 0.20)),
        width=float(random.uniform(0.33, 0.38)),
        dome=(dome, dome + float(random.uniform(0.005, 0.035))),
        heart=(
            float(random.uniform(0.045, 0.07)),
            float(random.uniform(0.12, 0.155)),
            float(random.uniform(0.15, 0.18)),
        ),
        ribs=int(random.integers(9, 11)),
        slope=float(random.uniform(0.05, 0.10)),
        shoulder=float(random.uniform(0.10, 0.16)),
    )


def _soft(mask: Mask, sigma: float) -> Field:
    """A drawn mask with edges as soft as those of a projection, in 0…1."""
    return cv2.GaussianBlur(mask, (0, 0), sigma) * np.float32(1 / 255)


def _fill(mask: Mask, points: list[tuple[float, float]], grey: int = 255) -> None:
    """Fill the smooth closed curve through ``points``, given as (x, y) fractions."""
    cv2.fillPoly(mask, [_curve(points)], grey, lineType=cv2.LINE_AA, shift=4)


def _curve(points: list[tuple[float, float]]) -> Line:
    """A closed curve through ``points`` (periodic Catmull-Rom spline), in sixteenths of a pixel."""
    at = np.asarray(points)
    before, after, beyond = np.roll(at, 1, 0), np.roll(at, -1, 0), np.roll(at, -2, 0)
    t = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * at
        + (after - before) * t
        + (2 * before - 5 * at + 4 * after - beyond) * t**2
        + (3 * at - before - 3 * after + beyond) * t**3
    )
    return (curve.transpose(1, 0, 2).reshape(-1, 2) * SIZE * 16).astype(np.int32)


def lungs_of(chest: Chest) -> Field:
    """How much of the way through each pixel is air, in 0…1."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for sign, dome in zip((-1.0, 1.0), chest.dome, strict=True):
        middle, width, apex = chest.middle, sign * chest.width, chest.apex
        outline = [
            *((0.30, apex), (0.62, apex + 0.05), (0.83, apex + 0.19), (0.95, apex + 0.36), (1.00, dome + 0.06)),
            *((0.78, dome - 0.01), (0.45, dome - 0.04), (0.20, dome), (0.16, 0.5), (0.17, 0.3)),
        ]
        _fill(mask, [(middle + width * out, y) for out, y in outline])
    return _soft(mask, 2.2)


def soft_tissue(chest: Chest, random: np.random.Generator) -> Field:
    """Trunk, arms and neck; denser below the diaphragm, with gas in the stomach."""
    m, w, s = chest.middle, chest.width, chest.shoulder
    trunk = [
        *((m - 0.11, -0.1), (m - 0.12, s - 0.04), (m - w - 0.03, s + 0.02), (m - w - 0.09, s + 0.2)),
        *((m - w - 0.07, 0.6), (m - w - 0.05, 1.1), (m + w + 0.05, 1.1), (m + w + 0.07, 0.6)),
        *((m + w + 0.09, s + 0.2), (m + w + 0.03, s + 0.02), (m + 0.12, s - 0.04), (m + 0.11, -0.1)),
    ]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    reach = float(random.uniform(0.0, 0.12))
    for sign in (-1.0, 1.0):
        near, far = m + sign * (w - 0.02), m + sign * (w + 0.3)
        arm = [(near, s + 0.01), (far, s + reach), (far, s + reach + 0.16), (near + sign * 0.06, s + 0.22)]
        _fill(mask, arm, 190)
    _fill(mask, trunk)
    tissue = 0.56 * _soft(mask, 4)
    below = step(ROWS - max(chest.dome) + 0.01, 40)
    gas_x, gas_y = m + float(random.uniform(0.1, 0.22)), max(chest.dome) + float(random.uniform(0.09, 0.14))
    gas = np.exp(-((((COLUMNS - gas_x) / 0.08) ** 2 + ((ROWS - gas_y) / 0.045) ** 2) ** 2))
    found: Field = tissue * (1 + 0.16 * below) - float(random.uniform(0, 0.22)) * gas * below
    return found


def mediastinum(chest: Chest) -> Field:
    """Spine with its vertebrae, windpipe and great vessels."""
    away = COLUMNS - chest.middle
    spine = np.exp(-((away / 0.042) ** 4)) * (0.13 + 0.03 * np.cos(ROWS * (2 * np.pi / 0.058)))
    windpipe = -0.10 * np.exp(-(((away + 0.004) / 0.017) ** 2)) * step(chest.apex + 0.17 - ROWS, 60)
    vessels = 0.13 * np.exp(-((away / 0.075) ** 4)) * step(ROWS - chest.apex + 0.02, 40)
    found: Field = spine + windpipe + vessels
    return found


def heart_of(chest: Chest) -> Field:
    """How much of each pixel the heart covers, in 0…1: mostly on the viewer's right, its tip on the diaphragm."""
    shift, wide, high = chest.heart
    down = (ROWS - (chest.dome[1] - high + 0.03)) / high
    beyond = ((COLUMNS - chest.middle - shift) / wide - 0.25 * down) ** 2 + down**2 - 1
    return step(-beyond, 9)


def step(value: Field, steepness: float) -> Field:
    """A smooth step from 0 to 1 about ``value`` 0."""
    found: Field = 0.5 + 0.5 * np.tanh(0.5 * steepness * value)
    return found


def bones(chest: Chest, lungs: Field, random: np.random.Generator) -> Field:
    """Posterior and anterior ribs, clavicles and upper arms: bright rims around a fainter core."""
    t = np.linspace(0, 1, 24)
    back, front, collars, arms = list[Line](), list[Line](), list[Line](), list[Line]()
    apart = (max(chest.dome) + 0.12 - chest.apex) / chest.ribs
    for rib in range(chest.ribs):
        reach = chest.width * min(1.06, 0.55 + 0.17 * rib) * 1.02
        start = chest.apex - 0.015 + rib * apart + float(random.normal(0, 0.003))
        down = start - 0.03 * np.sin(t * np.pi) + (chest.slope + 0.012 * rib) * t**2
        for sign in (-1.0, 1.0):
            back.append(_line(chest.middle + sign * (0.035 + (reach - 0.035) * np.sin(t * np.pi / 2)), down))
            front.append(_line(chest.middle + sign * (reach - (reach - 0.1) * t), down[-1] + 0.115 * t**0.8))
    for sign in (-1.0, 1.0):
        along = chest.middle + sign * (0.035 + (chest.width + 0.02) * t)
        collars.append(_line(along, chest.apex + 0.02 - 0.055 * t - 0.02 * np.sin(t * 2 * np.pi)))
        arms.append(_line(chest.middle + sign * (chest.width + 0.04 + 0.22 * t), chest.shoulder + 0.05 + 0.1 * t))
    rims = _strokes((back + collars, 7), (arms, 13))
    cores = _strokes((back + collars, 4), (arms, 10))
    bone = cv2.GaussianBlur(rims * np.float32(0.15 / 255) - cores * np.float32(0.07 / 255), (0, 0), 1.0)
    strength = float(random.uniform(0.8, 1.2))
    found: Field = bone * (strength * (0.45 + 0.55 * lungs)) + _soft(_strokes((front, 6)), 1.6) * (0.035 * lungs)
    return found


def vessels(chest: Chest, random: np.random.Generator) -> Field:
    """The winding markings that run outwards from each hilum and thin out."""
    t = np.linspace(0, 1, 12)
    lines = list[Line]()
    for sign in (-1.0, 1.0):
        for angle in np.linspace(-1.3, 1.35, 12) + random.normal(0, 0.15, 12):
            start, length, bend = random.uniform(0, 0.04), random.uniform(0.08, 0.24), random.normal(0, 0.6)
            turning = angle + bend * t + 0.25 * np.sin(t * 6 + random.uniform(0, 6))
            x = chest.middle + sign * (0.075 + start + np.cumsum(np.cos(turning)) * length / 12)
            lines.append(_line(x, 0.43 + random.normal(0, 0.025) + np.cumsum(np.sin(turning)) * length / 12))
    mask = _strokes(([line[:5] for line in lines], 2), (lines, 1))
    beside = np.abs(COLUMNS - chest.middle) - 0.085
    hila = np.exp(-((beside / 0.035) ** 2)) * np.exp(-(((ROWS - 0.43) / 0.06) ** 2))
    found: Field = 0.075 * _soft(mask, 1.0) + 0.06 * hila
    return found


def _line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Line:
    """An open line through (x, y) fractions, in sixteenths of a pixel."""
    line = np.empty((len(x), 2), np.int32)
    line[:, 0], line[:, 1] = x * (16 * SIZE), y * (16 * SIZE)
    return line


def _strokes(*lines: tuple[list[Line], int]) -> Mask:
    """A mask with lines of some thicknesses, in pixels."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for group, thickness in lines:
        cv2.polylines(mask, group, isClosed=False, color=255, thickness=thickness, lineType=cv2.LINE_AA, shift=4)
    return mask
