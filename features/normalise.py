"""Pixels of any size and contrast to the two square pictures that the descriptors see."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

_COARSER = 4
_FLOOR = np.float32(0.1)  # of the whole picture's deviation: keeps the noise of empty regions from being blown up


@dataclass(frozen=True, kw_only=True)
class Normalise:
    """How a picture is brought to a common size and contrast.

    ``side`` is in pixels; ``blur`` is the standard deviation, in pixels of the square, of the Gaussian that hides
    what earlier scaling and compression did; ``local`` that of the window against which contrast is measured.
    """

    side: int = 128
    blur: float = 0.8
    local: float = 16.0


class Normalised(NamedTuple):
    """Two float32 arrays (side, side).

    ``plain`` has mean 0 and standard deviation 1; ``local`` has both in every neighbourhood, in about -3…3, so that
    exposure, shading and the share of dark border do not show in it.
    """

    plain: np.ndarray
    local: np.ndarray


def normalise(pixels: np.ndarray, settings: Normalise) -> Normalised:
    """The square pictures of grey pixels, 2-D uint8, uint16 or float32; the aspect is squashed to the square.

    Any affine change of grey values gives the same result up to rounding. A flat picture is 0 everywhere.

    >>> pictures = normalise(np.arange(600, dtype=np.uint16).reshape(20, 30), Normalise(side=64))
    >>> pictures.plain.shape, round(float(pictures.plain.std()), 3)
    ((64, 64), 1.0)
    """
    size = (settings.side, settings.side)
    return standardise(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32), settings)


def standardise(square: np.ndarray, settings: Normalise) -> Normalised:
    """The same for a float32 picture that has the settings' size already.

    >>> standardise(np.zeros((64, 64), np.float32), Normalise(side=64)).plain.any().item()
    False
    """
    square = cv2.GaussianBlur(square, (0, 0), settings.blur)
    spread = float(square.max()) - float(square.min())
    # Relative to the level: a flat picture's spread is rounding, not contrast.
    if spread <= 1e-5 * float(np.abs(square).max()):
        return Normalised(np.zeros_like(square), np.zeros_like(square))
    square = (square - square.mean(dtype=np.float64)).astype(np.float32)
    plain = square / np.float32(square.std(dtype=np.float64))
    return Normalised(plain, localise(plain, settings))


def localise(plain: np.ndarray, settings: Normalise) -> np.ndarray:
    """The second picture of `Normalised`, from the first.

    >>> localise(np.zeros((64, 64), np.float32), Normalise(side=64)).any().item()
    False
    """
    centred = plain - wide_mean(plain, settings.local)
    deviation = np.sqrt(wide_mean(centred * centred, settings.local))
    return centred / (deviation + _FLOOR)


def wide_mean(picture: np.ndarray, window: float) -> np.ndarray:
    """The mean around each pixel of a float32 picture, weighted by a Gaussian of so many pixels, several at least.

    It changes so slowly that every fourth row and column tells it.

    >>> round(float(wide_mean(np.full((64, 64), 0.5, np.float32), 16.0).min()), 6)
    0.5
    """
    small = cv2.resize(picture, None, fx=1 / _COARSER, fy=1 / _COARSER, interpolation=cv2.INTER_AREA)
    means = cv2.GaussianBlur(small, (0, 0), window / _COARSER)
    return np.asarray(cv2.resize(means, picture.shape[::-1], interpolation=cv2.INTER_LINEAR))
