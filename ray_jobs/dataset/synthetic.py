"""Draw plausible chest X-rays of children, so that the system can be tried where there is no data.

They teach a model nothing about medicine. The classes overlap on purpose: some opacities are faint, and some normal
pictures are hazy, so that a real model separates them well but not perfectly.
"""

import copy
import threading
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ray_jobs.dataset.layout import Label
from ray_jobs.dataset.synthetic_anatomy import (
    COLUMNS,
    ROWS,
    SIZE,
    Chest,
    Field,
    Mask,
    bones,
    chest_of,
    heart_of,
    lungs_of,
    mediastinum,
    soft_tissue,
    step,
    vessels,
)

VERSION = f"chest-2/opencv-{cv2.__version__}"
"""Changes whenever the same index may give other bytes."""

_SEED = 20_180_109
_DRAWING = threading.Lock()  # threads that read the pictures of one patient at once wait for the first of them


def chest_picture(*, patient: int, picture: int, label: Label, suffix: str = ".jpeg") -> bytes:
    """The encoded picture number ``picture`` of ``patient``: 8-bit greyscale, SIZE × SIZE pixels.

    The pictures of one patient share the anatomy and the kind of opacity; position, exposure and noise differ. The
    same arguments give the same bytes.
    """
    with _DRAWING:
        seen = _patient(patient)
    shot = np.random.default_rng((_SEED, patient, picture))
    density = seen.density + _haze(shot) * seen.lungs
    if label == "PNEUMONIA":
        body = copy.deepcopy(seen.body)
        density += seen.lungs * (_consolidation(seen.chest, body, shot) if seen.focal else _interstitial(body, shot))
    return _encoded(_exposed(_placed(density, shot), shot), suffix)


@dataclass(frozen=True)
class _Patient:
    """What all pictures of a patient share.

    Attributes
    ----------
    focal
        Whether a pneumonia has patches.
    body
        What decides the rest of it, to be copied before it is used.
    """

    chest: Chest
    lungs: Field
    density: Field
    focal: bool
    body: np.random.Generator


@lru_cache(maxsize=16)  # pictures are read in the order of patients
def _patient(patient: int) -> _Patient:
    body = np.random.default_rng((_SEED, patient))
    chest = chest_of(body)
    focal = body.random() < 0.55
    heart = heart_of(chest)
    lungs = lungs_of(chest) * (1 - 0.72 * heart)
    density = soft_tissue(chest, body) - 0.40 * lungs + 0.07 * heart
    density += bones(chest, lungs, body)
    density += vessels(chest, body) * lungs * float(body.uniform(0.5, 1.5))
    density += mediastinum(chest)
    return _Patient(chest=chest, lungs=lungs, density=density, focal=focal, body=body)


def _cloud(random: np.random.Generator, cell: int) -> Field:
    """Smooth noise of mean 0 and deviation about 1, with features about ``cell`` pixels wide."""
    side = SIZE // cell + 3
    grid = random.standard_normal((side, side), dtype=np.float32)
    grid = (grid - grid.mean()) / grid.std()
    return cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def _haze(random: np.random.Generator) -> Field:
    """What shallow breath and motion add to any picture, now and then as much as a faint pneumonia does."""
    amount = float(random.gamma(1.5, 0.012))
    return amount * (1 + 0.5 * _cloud(random, 64)) + 0.008 * _cloud(random, 10)


def _severity(random: np.random.Generator) -> float:
    """How marked the disease is: mostly clear, in some hardly to be seen."""
    return float(0.55 + 0.45 * random.beta(2.0, 1.2))


def _consolidation(chest: Chest, body: np.random.Generator, shot: np.random.Generator) -> Field:
    """One to three patches with ragged edges, dense in the middle."""
    found: Field = np.zeros((SIZE, SIZE), np.float32)
    severity = _severity(body)
    for _ in range(int(body.integers(1, 4))):
        sign = 1.0 if body.random() < 0.5 else -1.0
        x = chest.middle + sign * chest.width * float(body.uniform(0.28, 0.80))
        y = float(body.uniform(chest.apex + 0.14, chest.dome[0] - 0.02))
        wide, high = float(body.uniform(0.06, 0.12)), float(body.uniform(0.06, 0.12))
        ragged = 0.35 * _cloud(body, 24) + 0.15 * _cloud(shot, 8)
        distance = ((COLUMNS - x) / wide) ** 2 + ((ROWS - y) / high) ** 2
        found = np.maximum(found, step(1.1 - distance - ragged, 2.2))
    return severity * 0.38 * found


def _interstitial(body: np.random.Generator, shot: np.random.Generator) -> Field:
    """Streaks and a net of fine lines over a haze, strongest about the hila."""
    severity = _severity(body)
    net = np.exp(-np.abs(_cloud(body, 9)) * 3) + np.exp(-np.abs(_cloud(body, 5)) * 3)
    spread = np.exp(-(((COLUMNS - 0.5) / 0.27) ** 2)) * np.exp(-(((ROWS - 0.48) / 0.24) ** 2))
    found: Field = severity * (0.19 * net * (0.4 + 0.6 * spread) + 0.10 * spread * (1 + 0.3 * _cloud(shot, 32)))
    return found


def _placed(density: Field, random: np.random.Generator) -> Field:
    """Turned, scaled and shifted as children lie."""
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), float(random.normal(0, 2.5)), float(random.uniform(0.94, 1.1)))
    turn[:, 2] = turn[:, 2] + random.normal(0, 4, 2)
    moved = cv2.warpAffine(density, turn, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _exposed(density: Field, random: np.random.Generator) -> Mask:
    """Density to grey: the tube's exposure, the film's curve, scatter, grain, and the side marker."""
    seen = density + float(random.uniform(0.05, 0.2)) * cv2.blur(density, (63, 63)) + float(random.normal(0, 0.02))
    value = 1 - np.asarray(cv2.exp(-float(random.uniform(1.5, 2.3)) * np.maximum(seen, 0)))
    value = float(random.uniform(0.98, 1.12)) * np.asarray(cv2.pow(value, float(random.uniform(0.9, 1.35))))
    grain = cv2.GaussianBlur(
        random.standard_normal((SIZE, SIZE), dtype=np.float32), (0, 0), float(random.uniform(0.5, 0.9))
    )
    value += float(random.uniform(0.006, 0.02)) * grain
    grey: Mask = np.clip(value * 255, 0, 255).astype(np.uint8)
    if random.random() < 0.8:
        at = (int(random.integers(4, 22)), int(random.integers(40, 150)))
        cv2.putText(grey, "R", at, cv2.FONT_HERSHEY_SIMPLEX, float(random.uniform(0.4, 0.6)), 235, 1, cv2.LINE_AA)
    return grey


def _encoded(grey: Mask, suffix: str) -> bytes:
    done, data = cv2.imencode(suffix, grey, [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == ".jpeg" else [])
    if not done:
        raise ValueError(f"OpenCV cannot write {suffix!r}; it takes .jpeg and .png")
    return data.tobytes()
