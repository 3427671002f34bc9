"""Fit where lungs lie to X-rays with masks: pure functions, for `ray_jobs.fit_lungs`."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor

from features.crop import Box, cut
from features.lungs import MARGIN, SIDE, halved, seen

COARSE = 112
_HIDDEN = 80
_EPOCHS = 25
_NEAR = 0.05  # standard deviation of the ends of a box that the second network starts from, of its width and height
_LEAST_SCALE = 1e-3
_LOST = 0.002  # of X-rays with lungs, the share that a side's detector may miss


@dataclass(frozen=True, kw_only=True)
class Masked:
    """A picture, float32 (COARSE, COARSE) in 0…1, and points (P, 2) around its lungs, x and y as shares."""

    picture: np.ndarray
    outline: np.ndarray


def outline_of(mask: np.ndarray) -> np.ndarray:
    """The convex hull, (P, 2) shares, of what a mask covers: its box after any turn is that of the lungs."""
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    pixels = np.concatenate(contours)[:, 0]
    corners = np.concatenate([pixels + np.array([dx, dy]) for dx in (0, 1) for dy in (0, 1)])
    hull = cv2.convexHull(corners.astype(np.int32))[:, 0]
    return np.asarray(hull / np.array(mask.shape[::-1], dtype=np.float64))


def box_of(outline: np.ndarray) -> Box:
    """The box around points."""
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    return Box(float(left), float(top), float(right), float(bottom))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    both = max(across, 0.0) * max(down, 0.0)
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in (one, other)]
    return both / (sum(areas) - both)


def another_view(masked: Masked, random: np.random.Generator) -> Masked:
    """The X-ray as others might frame, expose, border, mark and blur it, sometimes mirrored."""
    zoom, aspect = random.uniform(-0.4, 0.25), random.uniform(-0.25, 0.25)
    angle = np.radians(random.normal(0, 5))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = -1.0 if random.random() < 0.3 else 1.0
    linear = np.diag(np.exp([zoom + aspect, zoom - aspect])) @ turn @ np.diag([mirror, 1.0])
    centre = 0.5 + random.uniform(-0.12, 0.12, 2)
    middle = np.full(2, (COARSE - 1) / 2)
    matrix = np.column_stack([linear, centre * COARSE - 0.5 - linear @ middle])
    how, value = _rim(random)
    picture = cv2.warpAffine(
        masked.picture, matrix, (COARSE, COARSE), flags=cv2.INTER_LINEAR, borderMode=how, borderValue=value
    )
    return Masked(
        picture=_taken_otherwise(np.asarray(picture), random),
        outline=(masked.outline - 0.5) @ linear.T + centre,
    )


def _rim(random: np.random.Generator) -> tuple[int, float]:
    kind = random.random()
    if kind < 0.5:
        return cv2.BORDER_CONSTANT, 0.0
    if kind < 0.7:
        return cv2.BORDER_CONSTANT, float(random.random())
    return (cv2.BORDER_REPLICATE if kind < 0.85 else cv2.BORDER_REFLECT), 0.0


def _taken_otherwise(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Exposure, shading, frame, marker, sharpness and noise."""
    picture = np.clip(picture, 0.0, 1.0) ** np.float32(np.exp(random.uniform(-0.6, 0.6)))
    if random.random() < 0.25:
        picture = 1 / (1 + np.exp(-(picture - 0.5) * random.uniform(3, 9)))
    if random.random() < 0.3:
        down, right = np.mgrid[0:COARSE, 0:COARSE] / COARSE - 0.5
        picture = picture * (1 + random.normal(0, 0.3) * down + random.normal(0, 0.3) * right)
    if random.random() < 0.35:
        for _ in range(4):
            picture = np.rot90(picture).copy()
            if random.random() < 0.6:
                picture[: int(random.integers(1, COARSE // 8))] = random.choice([0.0, 1.0, random.random()])
    if random.random() < 0.3:
        top, left = random.integers(0, COARSE - 14, 2)
        high, wide = random.integers(3, 15, 2)
        picture[top : top + high, left : left + wide] = random.choice([0.0, 1.0])
    picture = picture.astype(np.float32)
    if random.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.4, 2.0))
    if random.random() < 0.3:
        picture = picture + random.normal(0, random.uniform(0, 0.05), picture.shape)
    return picture.astype(np.float32)


def fit_lungs(images: list[Masked], *, rounds: int, seed: int) -> dict[str, np.ndarray]:
    """The numbers that `features.lungs` reads, from X-rays that are each seen ``rounds`` times in another view.

    The detectors learn from the same pictures inverted and turned, and from boxes beside the lungs, what is none.
    """
    random = np.random.default_rng(seed)
    whole, boxes, near, corrections = [], [], [], []
    for view in _views(images, rounds, random):
        box = box_of(view.outline)
        around = _moved(box, random, _NEAR).grown(MARGIN)
        whole.append(seen(cv2.resize(view.picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)).astype(np.float32))
        near.append(seen(cut(view.picture, around, SIDE)).astype(np.float32))
        boxes.append(box)
        corrections.append(_inside(box, around))
    numbers = _network("whole", np.array(whole), np.array(boxes)) | _network(
        "near", np.array(near), np.array(corrections)
    )
    return numbers | _detectors(near, images, random)


def _views(images: list[Masked], rounds: int, random: np.random.Generator) -> Iterator[Masked]:
    for _ in range(rounds):
        for image in images:
            view = another_view(image, random)
            if np.all(np.abs(np.array(box_of(view.outline)) - 0.5) <= 0.6):
                yield view


def _moved(box: Box, random: np.random.Generator, far: float) -> Box:
    wide, high = box.right - box.left, box.bottom - box.top
    return Box(*(np.array(box) + random.normal(0, far, 4) * [wide, high, wide, high]))


def _inside(box: Box, around: Box) -> list[float]:
    """A box in shares of another."""
    wide, high = around.right - around.left, around.bottom - around.top
    return [
        (box.left - around.left) / wide,
        (box.top - around.top) / high,
        (box.right - around.left) / wide,
        (box.bottom - around.top) / high,
    ]


def _network(name: str, inputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Fit one network; its numbers take vectors as they are, the standardisation being multiplied in."""
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + _LEAST_SCALE
    centre, spread = targets.mean(axis=0), targets.std(axis=0)
    network = MLPRegressor(
        hidden_layer_sizes=(_HIDDEN,), alpha=1e-3, batch_size=256, max_iter=_EPOCHS, random_state=0, tol=0.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is stopped before it converges, on purpose
        network.fit((inputs - mean) / scale, (targets - centre) / spread)
    first, second = network.coefs_
    weights = first / scale[:, None]
    return {
        f"{name}.weights0": weights.astype(np.float16),
        f"{name}.bias0": (network.intercepts_[0] - mean @ weights).astype(np.float32),
        f"{name}.weights1": (second * spread).astype(np.float32),
        f"{name}.bias1": (network.intercepts_[1] * spread + centre).astype(np.float32),
    }


def _detectors(near: list[np.ndarray], images: list[Masked], random: np.random.Generator) -> dict[str, np.ndarray]:
    """A detector a side, whose score is 0 where all but a few X-rays with lungs have more."""
    lungs = np.array(near[:: max(1, len(near) // (2 * len(images)))])
    others = np.array([_not_lungs(another_view(image, random), random) for image in images for _ in range(2)])
    inputs, labels = np.concatenate([lungs, others]), np.repeat([1, 0], [len(lungs), len(others)])
    numbers: dict[str, np.ndarray] = {}
    for side, half in halved(inputs).items():
        scale = half.std(axis=0) + _LEAST_SCALE
        found = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=300).fit(half / scale, labels)
        weights = (found.coef_[0] / scale).astype(np.float16)
        limit = np.quantile(half[labels == 1] @ weights.astype(np.float64), _LOST)
        numbers |= {f"{side}.weights": weights, f"{side}.bias": np.array(-limit, np.float32)}
    return numbers


def _not_lungs(view: Masked, random: np.random.Generator) -> np.ndarray:
    """What `seen` gives of an inverted or turned X-ray, of a box beside the lungs, or of a cloud."""
    kind, picture = random.integers(5), view.picture
    near = _moved(box_of(view.outline), random, 0.1).grown(MARGIN)
    if kind == 0:
        picture = 1 - picture
    elif kind == 1:
        picture = np.rot90(picture, int(random.integers(1, 4))).copy()
        near = Box(*(np.array([0.1, 0.1, 0.9, 0.9]) + random.normal(0, 0.1, 4)))
    elif kind == 2:
        near = _beside(near, random)
    elif kind == 3:
        noise = random.standard_normal(picture.shape).astype(np.float32)
        picture = cv2.GaussianBlur(noise, (0, 0), random.uniform(0.5, 12.0))
    else:  # one lung alone: the other half shows something else
        half = np.s_[:, : COARSE // 2] if random.random() < 0.5 else np.s_[:, COARSE // 2 :]
        picture = picture.copy()
        picture[half] = np.rot90(picture, 2)[half]
    return seen(cut(picture.astype(np.float32), near, SIDE)).astype(np.float32)


def _beside(box: Box, random: np.random.Generator) -> Box:
    wide, high = box.right - box.left, box.bottom - box.top
    across, down = random.choice([-1.0, 1.0], 2) * random.uniform(0.35, 0.8, 2)
    which = random.integers(3)
    across, down = (across if which != 0 else 0.0) * wide, (down if which != 1 else 0.0) * high
    return Box(box.left + across, box.top + down, box.right + across, box.bottom + down)
