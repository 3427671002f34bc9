"""An X-ray as another place might have taken, processed and sent it: views for training, and others for judging by.

All views differ in place, exposure and sharpness, and every second training view in local contrast, noise, frames and
compression too. A judged view has all of these at once, and some that training never sees: shading and markers.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from features.lungs import CANVAS, canvas_of

_CHANCE = 0.5  # of each kind of change beyond place, exposure and sharpness


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """How many views a picture has, and how far each may differ; numbers bound uniform draws.

    ``zoom``, ``aspect`` and ``gamma`` are logarithms of factors, ``rotation`` is in degrees, ``shift`` a share of the
    side, ``blur`` the standard deviation of a Gaussian in pixels of a 224-pixel square, or the strength of sharpening.
    """

    fitted: int = 2
    judged: int = 1
    zoom: float = 0.2
    aspect: float = 0.2
    rotation: float = 8.0
    shift: float = 0.08
    gamma: float = 0.5
    blur: float = 1.6


def other_acquisitions(pixels: np.ndarray, seed: bytes, settings: Acquisition) -> list[np.ndarray]:
    """Views for training, then those for judging, each float32 (224, 224) in 0…1; the same for the same seed.

    >>> ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    >>> [view.shape for view in other_acquisitions(ramp, b"seed", Acquisition())]
    [(224, 224), (224, 224), (224, 224)]
    """
    canvas = canvas_of(pixels)
    views = []
    for kind, count in (("fitted", settings.fitted), ("judged", settings.judged)):
        for view in range(count):
            digest = hashlib.sha256(seed + f"{kind}{view}".encode()).digest()
            random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            taken = _exposed(placed(canvas, random, settings), random, settings)
            if kind == "judged":
                taken = _processed(taken, random, _ALL)
            elif view % 2:
                taken = _processed(taken, random, _PRACTISED)
            views.append(taken)
    return views


def placed(canvas: np.ndarray, random: np.random.Generator, settings: Acquisition) -> np.ndarray:
    """A picture, (CANVAS, CANVAS), moved within bounds; black is what comes in from beyond its rim.

    >>> still = Acquisition(zoom=0.0, aspect=0.0, rotation=0.0, shift=0.0)
    >>> picture = np.eye(CANVAS, dtype=np.float32)
    >>> bool(np.array_equal(placed(picture, np.random.default_rng(0), still), picture))
    True
    """
    zoom, aspect, turn = (random.uniform(-far, far) for far in (settings.zoom, settings.aspect, settings.rotation))
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = np.diag(np.exp([zoom + aspect, zoom - aspect])) @ rotation
    centre = np.full(2, (CANVAS - 1) / 2)
    moved = centre - linear @ centre + random.uniform(-settings.shift, settings.shift, 2) * CANVAS
    return np.asarray(cv2.warpAffine(canvas, np.column_stack([linear, moved]), (CANVAS, CANVAS)))


def _exposed(canvas: np.ndarray, random: np.random.Generator, settings: Acquisition) -> np.ndarray:
    exposed = np.power(canvas, np.float32(np.exp(random.uniform(-settings.gamma, settings.gamma))))
    if random.random() < 0.5:  # the S-shaped curve of a film, steeper or flatter
        steep, middle = random.uniform(3.0, 9.0), random.uniform(0.35, 0.65)
        exposed = 1 / (1 + np.exp(-np.float32(steep) * (exposed - np.float32(middle))))
    softness = float(random.uniform(-settings.blur, settings.blur))
    if softness > 0.0:
        return np.asarray(cv2.GaussianBlur(exposed, (0, 0), softness + 0.1))
    return sharpened(exposed, 0.6 * -softness)


def sharpened(canvas: np.ndarray, strength: float) -> np.ndarray:
    """An unsharp mask of some strength, float32 in 0…1.

    >>> edge = np.repeat(np.float32([[0.4, 0.6]]), 8, axis=1)
    >>> bool(np.ptp(sharpened(edge, 1.0)) > np.ptp(edge))
    True
    """
    soft = cv2.GaussianBlur(canvas, (0, 0), 1.2)
    return np.asarray(np.clip(canvas + np.float32(strength) * (canvas - soft), 0.0, 1.0), np.float32)


def _processed(canvas: np.ndarray, random: np.random.Generator, changes: tuple[Change, ...]) -> np.ndarray:
    """Each kind of change with an even chance."""
    for change in changes:
        if random.random() < _CHANCE:
            canvas = change(canvas, random)
    return canvas


def _grey(canvas: np.ndarray) -> np.ndarray:
    return np.asarray((np.clip(canvas, 0.0, 1.0) * 255).round().astype(np.uint8))


def _local_contrast(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation, as consoles of detectors do."""
    equalise = cv2.createCLAHE(random.uniform(1.0, 3.0), (8, 8))
    return np.asarray(equalise.apply(_grey(canvas)).astype(np.float32) / 255)


def _shaded(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The heel effect: the beam is weaker towards one side."""
    down, right = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32) / CANVAS - 0.5
    fall = np.float32(random.normal(0, 0.25)) * down + np.float32(random.normal(0, 0.25)) * right
    return np.clip(canvas * (1 + fall), 0.0, 1.0)


def _noisy(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    noise = random.standard_normal(canvas.shape, dtype=np.float32) * np.float32(random.uniform(0.0, 0.03))
    return np.clip(canvas + noise, 0.0, 1.0)


def _framed(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A border of one grey to 8 % a side, or black bars on two sides to 20 %, as letterboxes have."""
    if random.random() < _CHANCE:
        bar = int(random.integers(CANVAS // 20, CANVAS // 5))
        widths, grey = (bar, bar, 0, 0) if random.random() < _CHANCE else (0, 0, bar, bar), 0.0
    else:
        top, bottom, left, right = (int(width) for width in random.integers(0, CANVAS * 8 // 100, 4))
        widths, grey = (top, bottom, left, right), float(random.choice([0.0, 0.0, 1.0, 0.5]))
    framed = cv2.copyMakeBorder(canvas, *widths, cv2.BORDER_CONSTANT, value=grey)
    return np.asarray(cv2.resize(framed, (CANVAS, CANVAS), interpolation=cv2.INTER_AREA))


def _marked(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Letters burnt in at one side, as they name sides and views."""
    marked = np.ascontiguousarray(canvas, dtype=np.float32).copy()
    column = int(random.choice([4, CANVAS - 44]))
    at, size = (column, int(random.integers(20, CANVAS - 10))), float(random.uniform(0.5, 0.9))
    cv2.putText(marked, str(random.choice(["R", "L", "AP"])), at, cv2.FONT_HERSHEY_SIMPLEX, size, 1.0, 2, cv2.LINE_AA)
    return marked


def _compressed(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    quality = int(random.integers(30, 90))
    _, data = cv2.imencode(".jpg", _grey(canvas), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.float32) / 255


# In the order in which they happen to a picture.
_ALL: tuple[Change, ...] = (_local_contrast, _shaded, _noisy, _framed, _marked, _compressed)
_PRACTISED: tuple[Change, ...] = (_local_contrast, _noisy, _framed, _compressed)
