"""Where the lungs lie in a frontal chest X-ray, by numbers that `ray_jobs.fit_lungs` fits.

Two small networks follow each other: the first sees the whole picture and gives the box of both lungs, the second sees
that box with a margin and gives a better one, twice (P. Dollár, P. Welinder, P. Perona, "Cascaded pose regression",
CVPR 2010). What they see are local contrast and histograms of oriented gradients. Of what the last box holds, a linear
detector for each side says whether it is a lung (N. Dalal, B. Triggs, "Histograms of oriented gradients for human
detection", CVPR 2005).
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from features.crop import Box, cut
from features.descriptors.hog import cell_histograms, gradients
from features.half import half
from features.normalise import wide_mean

NUMBERS = Path(__file__).with_name("lungs.npz")
DIGEST = "551a862622d5e87454e25280e5cd9d0db38049572cfe1e4b61f5abb3e0e1a726"
"""SHA-256, in hex, of the numbers that belong to this code; `ray_jobs.fit_lungs` prints it for new ones."""

CANVAS = 224
"""Height and width of the picture that boxes are cut from: every X-ray is brought to it first, whatever its aspect."""

SIDE = 64
MARGIN = 0.2
_COARSE = 112
_THUMBNAIL, _CELL, _ORIENTATIONS = 32, 8, 8
_STEPS = 2
_LOCAL = 8.0  # pixels of what the networks see: the window against which contrast is measured
_LEAST, _BEYOND = 0.15, 0.25  # of the picture: the smallest width and height of a box, how far it may lie outside
_SURE = 1.0  # of the detectors' scores: turned X-rays seldom have as much, none of the held-out ones has less than 2.2
_EXACT = 4096  # boxes are rounded to such parts of a side, so that the last bit of a product decides nothing


@dataclass(frozen=True, kw_only=True)
class Lungs:
    """How lungs are found: by which numbers (their SHA-256), and how much around them is described.

    ``margin`` is a share of the box's sides. Rows and columns at the rim whose greys differ by less than ``flat``, a
    share of the full range, are no part of the X-ray, and nothing looks at them.
    """

    numbers: str = DIGEST
    margin: float = 0.2
    flat: float = 0.06


@dataclass(frozen=True, kw_only=True)
class Found:
    """A box, and how much its two halves look like lungs: the lower of both sides' scores."""

    box: Box
    score: float

    @property
    def plausible(self) -> bool:
        """Whether both sides look like lungs, and the box has a size and a place that lungs can have."""
        left, top, right, bottom = self.box
        large = min(right - left, bottom - top) >= _LEAST
        return self.score >= _SURE and large and min(left, top) >= -_BEYOND and max(right, bottom) <= 1 + _BEYOND


def inner(pixels: np.ndarray, flat: float) -> Box:
    """What is left of grey pixels, 2-D, without borders and bars of one grey; all of it where nothing would be left.

    >>> inner(np.pad(np.arange(600, dtype=np.uint8).reshape(20, 30), ((10, 10), (0, 0))), 0.06)
    Box(left=0.0, top=0.25, right=1.0, bottom=0.75)
    """
    least = flat * (1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max))
    ends = list[tuple[int, int]]()
    for axis in (1, 0):
        # Of what is between the bars that were found already: a bar's own columns would show no flat row.
        picture = pixels if axis == 1 else pixels[slice(*ends[0])]
        spread = picture.max(axis=axis).astype(np.float64) - picture.min(axis=axis)
        shown = np.flatnonzero(spread >= least)
        if len(shown) < _LEAST * len(spread):
            return Box(0.0, 0.0, 1.0, 1.0)
        ends.append((int(shown[0]), int(shown[-1]) + 1))
    (top, bottom), (left, right) = ends
    height, width = pixels.shape
    return Box(left / width, top / height, right / width, bottom / height)


def canvas_of(pixels: np.ndarray) -> np.ndarray:
    """float32 (CANVAS, CANVAS) in 0…1, of grey pixels, 2-D uint8, uint16, or float32 that is in 0…1 already.

    >>> canvas = canvas_of(np.full((300, 200), 255, np.uint8))
    >>> canvas.shape, round(float(canvas.max()), 3)
    ((224, 224), 1.0)
    """
    full = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    # Means of whole pixels first, of 2 × 2 and of 4 × 4, which take a fifth of the time of means of parts.
    while min(pixels.shape) >= 2 * CANVAS:
        pixels = half(pixels)
    # In floating point, so that a picture in eight and in sixteen bits gives the same box.
    square = cv2.resize(pixels.astype(np.float32), (CANVAS, CANVAS), interpolation=cv2.INTER_AREA)
    return np.asarray(square * np.float32(1 / full))


def locate(canvas: np.ndarray, settings: Lungs) -> Found:
    """The likeliest box of the lungs in what `canvas_of` gives, plausible or not.

    >>> locate(canvas_of(np.zeros((300, 200), np.uint8)), Lungs()).plausible
    False
    """
    numbers = numbers_of(settings.numbers)
    small = cv2.resize(canvas, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    box = _ordered(_network(numbers, "whole", seen(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_AREA))))
    for _ in range(_STEPS):
        around = box.grown(MARGIN)
        box = _ordered(_network(numbers, "near", seen(cut(small, around, SIDE)))).within(around)
    box = Box(*(round(end * _EXACT) / _EXACT for end in box))
    halves = halved(seen(cut(small, box.grown(MARGIN), SIDE)))
    scores = [float(half @ numbers[f"{side}.weights"] + numbers[f"{side}.bias"]) for side, half in halves.items()]
    return Found(box=box, score=min(scores))


def seen(square: np.ndarray) -> np.ndarray:
    """float64 vector that the networks see of a float32 (SIDE, SIDE) picture: thumbnail of contrast, then gradients.

    >>> seen(np.zeros((SIDE, SIDE), np.float32)).shape  # 32 × 32 pixels, then 8 × 8 cells of 8 directions
    (1536,)
    """
    soft = cv2.GaussianBlur(square, (0, 0), 0.7)
    centred = soft - wide_mean(soft, _LOCAL)
    deviation = np.sqrt(wide_mean(centred * centred, _LOCAL))
    floor = np.float32(max(0.1 * float(centred.std()), 1e-6))
    local = np.clip(centred / (deviation + floor), -3.0, 3.0)
    thumbnail = cv2.resize(local, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    magnitude, bins = gradients(local, _ORIENTATIONS)
    histograms = np.sqrt(cell_histograms(magnitude, bins, _CELL, _ORIENTATIONS))
    return np.concatenate([thumbnail.ravel().astype(np.float64), histograms.ravel()])


def halved(vector: np.ndarray) -> Mapping[str, np.ndarray]:
    """The parts of what `seen` gives, (N,) or (M, N), that were measured on the viewer's left and right half.

    >>> {side: part.shape for side, part in halved(np.zeros(1536)).items()}
    {'left': (768,), 'right': (768,)}
    """
    cells, pixels = SIDE // _CELL, _THUMBNAIL * _THUMBNAIL
    thumbnail = vector[..., :pixels].reshape(*vector.shape[:-1], _THUMBNAIL, _THUMBNAIL)
    histograms = vector[..., pixels:].reshape(*vector.shape[:-1], cells, cells * _ORIENTATIONS)
    return {
        side: np.concatenate([part.reshape(*vector.shape[:-1], -1) for part in parts], axis=-1)
        for side, parts in {
            "left": (thumbnail[..., : _THUMBNAIL // 2], histograms[..., : cells * _ORIENTATIONS // 2]),
            "right": (thumbnail[..., _THUMBNAIL // 2 :], histograms[..., cells * _ORIENTATIONS // 2 :]),
        }.items()
    }


def numbers_of(digest: str) -> Mapping[str, np.ndarray]:
    """The shipped numbers, float64; raises ValueError where they are not those of a digest.

    >>> numbers_of("0" * 64)
    Traceback (most recent call last):
    ValueError: the lungs are located by numbers ...
    """
    return _read(digest)


@lru_cache(maxsize=1)
def _read(digest: str) -> Mapping[str, np.ndarray]:
    data = NUMBERS.read_bytes()
    actual = hashlib.sha256(data).hexdigest()
    if actual != digest:
        raise ValueError(
            f"the lungs are located by numbers {actual[:12]} here, the spec names {digest[:12]}; "
            "train with this code, or use the code that the model was trained with"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: file[name].astype(np.float64) for name in file.files}


def _network(numbers: Mapping[str, np.ndarray], name: str, vector: np.ndarray) -> np.ndarray:
    hidden = np.maximum(vector @ numbers[f"{name}.weights0"] + numbers[f"{name}.bias0"], 0.0)
    return np.asarray(hidden @ numbers[f"{name}.weights1"] + numbers[f"{name}.bias1"])


def _ordered(ends: np.ndarray) -> Box:
    """A box that has a width and a height, whatever the network says."""
    centre, half = (ends[:2] + ends[2:]) / 2, np.clip((ends[2:] - ends[:2]) / 2, 0.05, 1.0)
    return Box(*(float(end) for end in (*(centre - half), *(centre + half))))
