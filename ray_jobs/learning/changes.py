"""What may happen to an X-ray on its way without changing what it shows: the answer should not change either."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

Change = Callable[[np.ndarray], np.ndarray]

MOST_TURNED = 0.03
"""The share of the answers that a change may turn; it changes nothing that the X-ray shows."""
LEAST_IMAGES = 100
"""X-rays from which such a share is a measurement: of fewer, it is two or three answers."""


def bordered(pixels: np.ndarray, share: float, grey: int) -> np.ndarray:
    """A border of one grey on all sides, each a share of the longer side."""
    rim = round(share * max(pixels.shape))
    return np.asarray(cv2.copyMakeBorder(pixels, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=grey))


def letterboxed(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """Stretched to a width-to-height ratio, then made square again with black bars."""
    width = pixels.shape[1]
    wide = cv2.resize(pixels, (width, max(1, round(width / aspect))), interpolation=cv2.INTER_AREA)
    bar = max(0, width - wide.shape[0])
    top = bar // 2
    return np.asarray(cv2.copyMakeBorder(wide, top, bar - top, 0, 0, cv2.BORDER_CONSTANT, value=0))


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Through JPEG."""
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def exposed(pixels: np.ndarray, gamma: float) -> np.ndarray:
    """Another gamma."""
    return np.asarray(np.round(255 * (pixels / 255.0) ** gamma).astype(np.uint8))


def rescaled(pixels: np.ndarray, across: float, down: float) -> np.ndarray:
    """Another size."""
    size = max(1, round(pixels.shape[1] * across)), max(1, round(pixels.shape[0] * down))
    smaller = across * down < 1
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC))


def marked(pixels: np.ndarray) -> np.ndarray:
    """A letter burnt in, upper left."""
    side = min(pixels.shape)
    drawn, at = pixels.copy(), (side // 40, side // 6)
    cv2.putText(drawn, "R", at, cv2.FONT_HERSHEY_SIMPLEX, side / 250, 255, max(1, side // 90), cv2.LINE_AA)
    return drawn


def turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about the middle, black beyond the rim."""
    height, width = pixels.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height)))


CHANGES: Mapping[str, Change] = {
    "border 5 percent black": lambda pixels: bordered(pixels, 0.05, 0),
    "border 10 percent black": lambda pixels: bordered(pixels, 0.10, 0),
    "border 10 percent white": lambda pixels: bordered(pixels, 0.10, 255),
    "letterbox 1.5": lambda pixels: letterboxed(pixels, 1.5),
    "JPEG 40": lambda pixels: compressed(pixels, 40),
    "gamma 0.7": lambda pixels: exposed(pixels, 0.7),
    "gamma 1.4": lambda pixels: exposed(pixels, 1.4),
    "half size": lambda pixels: rescaled(pixels, 0.5, 0.5),
    "double size": lambda pixels: rescaled(pixels, 2.0, 2.0),
    "aspect 1.4": lambda pixels: rescaled(pixels, 1.4, 1.0),
    "marker": marked,
    "turned 5 degrees left": lambda pixels: turned(pixels, 5.0),
    "turned 5 degrees right": lambda pixels: turned(pixels, -5.0),
}
"""By name, what is done to 2-D uint8 pixels."""


@dataclass(frozen=True, kw_only=True)
class ChangeEffect:
    """What a change does to a model's answers on some X-rays: the share that turns, and the AUC after it."""

    images: int
    turned: float
    auc: float


def effects(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, ChangeEffect]:
    """The effect of each of CHANGES; labels (N,) of both classes, probabilities (N, 1 + changes), unchanged ones first.

    >>> probabilities = np.tile([[0.2], [0.9]], len(CHANGES) + 1)
    >>> probabilities[1, 1] = 0.4
    >>> effects(np.array([0, 1]), probabilities, 0.5)["border 5 percent black"]
    ChangeEffect(images=2, turned=0.5, auc=1.0)
    """
    positive = probabilities >= threshold
    return {
        name: ChangeEffect(
            images=len(labels),
            turned=float(np.mean(positive[:, index] != positive[:, 0])),
            auc=float(roc_auc_score(labels, probabilities[:, index])),
        )
        for index, name in enumerate(CHANGES, start=1)
    }


def turns_many(found: Mapping[str, Mapping[str, float]]) -> str:
    """The changes that turn more than MOST_TURNED of the answers, the worst first; found is as `card.json` has it.

    >>> turns_many({"marker": {"images": 200, "turned": 0.045}, "JPEG 40": {"images": 200, "turned": 0.01}})
    'marker 4.5 %'
    """
    many = [
        (-effect["turned"], name)
        for name, effect in found.items()
        if effect["turned"] > MOST_TURNED and effect["images"] >= LEAST_IMAGES
    ]
    return ", ".join(f"{name} {-100 * turned:.1f} %" for turned, name in sorted(many))


def change_metrics(found: Mapping[str, ChangeEffect]) -> dict[str, float]:
    """Flat, as MLflow keeps them, with the worst of all beside them."""
    flat = dict[str, float]()
    for name, effect in found.items():
        flat |= {f"changes/{name}/turned": effect.turned, f"changes/{name}/auc": effect.auc}
    flat["changes_worst_turned"] = max(effect.turned for effect in found.values())
    flat["changes_worst_auc"] = min(effect.auc for effect in found.values())
    return flat
