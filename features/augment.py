"""Jittered views of a picture, for training only: what another detector, crop or exposure might have made of it.

A model that sees each picture a little zoomed, stretched, turned, shifted, brightened and blurred as well cannot lean
on how a hospital frames and scales its pictures, which is not disease.
"""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from features.acquisition import placed, sharpened
from features.lungs import CANVAS


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """How far a view may differ; each number bounds a uniform draw.

    ``views`` a picture; ``zoom``, ``aspect`` and ``gamma`` are logarithms of factors, ``rotation`` is in degrees,
    ``shift`` a share of the side, ``blur`` the standard deviation of a Gaussian in pixels of a 224-pixel square.
    """

    views: int = 1
    zoom: float = 0.1
    aspect: float = 0.08
    rotation: float = 5.0
    shift: float = 0.04
    gamma: float = 0.3
    blur: float = 1.0


def views(pixels: np.ndarray, seed: bytes, settings: Jitter) -> list[np.ndarray]:
    """``settings.views`` pictures, each float32 (224, 224) in 0…1; the same for the same pixels and seed.

    >>> ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    >>> [view.shape for view in views(ramp, b"seed", Jitter(views=2))]
    [(224, 224), (224, 224)]
    >>> bool(np.array_equal(views(ramp, b"seed", Jitter()), views(ramp, b"seed", Jitter())))
    True
    """
    if not settings.views:
        return []
    full = np.float32(np.iinfo(pixels.dtype).max)
    square = cv2.resize(pixels, (CANVAS, CANVAS), interpolation=cv2.INTER_AREA).astype(np.float32) / full
    pictures = []
    for view in range(settings.views):
        digest = hashlib.sha256(seed + view.to_bytes(4, "big")).digest()
        pictures.append(_view(square, np.random.default_rng(int.from_bytes(digest[:8], "big")), settings))
    return pictures


def _view(square: np.ndarray, random: np.random.Generator, settings: Jitter) -> np.ndarray:
    warped = placed(square, random, settings)
    exposed = np.power(warped, np.float32(np.exp(random.uniform(-settings.gamma, settings.gamma))))
    softness = float(random.uniform(-settings.blur, settings.blur))
    if softness > 0.0:
        return cv2.GaussianBlur(exposed, (0, 0), softness + 0.1).astype(np.float32)
    return sharpened(exposed, 0.6 * (-softness / max(settings.blur, 1e-6)))
