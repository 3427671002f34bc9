"""Out-of-distribution detection: whether a picture is like the chest X-rays of training, and if not, how it differs.

The measure is what of a picture's features lies outside the principal components of the training side's: J. E. Jackson,
G. S. Mudholkar, "Control procedures for residuals associated with principal component analysis", Technometrics 21(3),
1979. It needs no examples of what is not a chest X-ray, so nothing has to be guessed about what people may send.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from features.extract import describe_normalised
from features.look import Look, look
from features.lungs import CANVAS
from features.reading.errors import NotAChestXray, Reason
from features.spec import FeatureSpec
from registry.errors import ArtefactError
from registry.process.threads import one_thread

# Shares of the way from grey to a pure colour: a stained or badly balanced scan has some, a photograph has more.
SOME_COLOUR, MUCH_COLOUR = 0.02, 0.08
_FURTHEST = 20.0  # in standard deviations; one odd feature alone must not decide
_TURNED: tuple[Reason, ...] = ("sideways", "upside-down", "sideways")  # by one, two, three quarters
_FIXES = {
    "inverted": "with black and white exchanged; invert it, so that bone is white",
    "sideways": "turned on its side; turn it upright",
    "upside-down": "upside down; turn it upright",
}
JUDGING_VERSION = 2
"""Raised when the same picture gets other doubts from the same model, so that what was kept of them is not read."""
_ARRAYS = ("mean", "scale", "components", "normal", "limits")


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Why an answer should be taken with caution."""

    code: Literal["unlike-training", "coloured", "lungs-at-border", "generated-model", "near-threshold"]
    detail: str


@dataclass(frozen=True, kw_only=True)
class OutOfDistributionDetector:
    """Tells a chest X-ray like those of the training side from any other picture.

    Attributes
    ----------
    mean, scale
        Of the D features on the training side, (D,).
    components
        Orthonormal principal directions of the features so standardised, (K, D).
    normal
        The mean features of its X-rays without pneumonia, (D,): what an explanation compares with.
    doubtful, refused
        The distances above which an answer carries a doubt, and above which there is none.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    normal: np.ndarray
    doubtful: float
    refused: float

    @one_thread()
    def distance(self, features: np.ndarray) -> np.ndarray:
        """How far features (N, D) lie from the training side's, (N,): root mean square of what components leave."""
        standard = np.clip((features - self.mean) / self.scale, -_FURTHEST, _FURTHEST)
        inside = standard @ self.components.T
        outside = np.square(standard).sum(axis=1) - np.square(inside).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(outside, 0.0) / standard.shape[1]))

    def judge(
        self, pixels: np.ndarray, looked: Look, features: np.ndarray, colour: float, spec: FeatureSpec
    ) -> tuple[Doubt, ...]:
        """The doubts about one picture: its features are of shape (D,), `colour` its `colourfulness`.

        Raises
        ------
        NotAChestXray
            Saying what the picture is instead: blank, in colour, inverted, turned, without lungs, or unlike the
            training side.
        """
        if not np.any(looked.pictures.plain):
            raise NotAChestXray(
                "the picture is blank: every pixel has the same grey; send the radiograph itself", "blank"
            )
        if colour > MUCH_COLOUR:
            raise NotAChestXray(
                "the picture is in colour, and radiographs are grey; send the radiograph itself", "coloured"
            )
        distance = float(self.distance(features[None])[0])
        # Written so that a distance that is not a number is refused.
        lungs = _has_lungs(looked)
        if not (lungs and distance <= self.doubtful):
            self._refuse_what_one_change_fixes(pixels, spec)
        if not lungs:
            raise NotAChestXray(
                "the picture does not look like a frontal chest X-ray: two lungs side by side are not found in it; "
                "send a frontal chest X-ray, whole and upright",
                "no-lungs",
            )
        if not distance <= self.refused:
            raise NotAChestXray(
                "the picture is not like the chest X-rays that the model was trained on: its "
                f"distance is {distance:.2f}, the limit is {self.refused:.2f}; send a frontal chest X-ray of a child, "
                "whole, upright and without a frame",
                "unlike-training",
            )
        return tuple(self._doubts(distance, colour, looked))

    def _refuse_what_one_change_fixes(self, pixels: np.ndarray, spec: FeatureSpec) -> None:
        """Raise NotAChestXray with the one simple change that would make a usual chest X-ray of the picture."""
        small = cv2.resize(pixels, (CANVAS, CANVAS), interpolation=cv2.INTER_AREA)
        changes: list[tuple[Reason, np.ndarray]] = [("inverted", small.max() - small)]
        for turns, reason in enumerate(_TURNED, start=1):
            changes.append((reason, np.ascontiguousarray(np.rot90(small, turns))))
        looks = [look(changed, spec) for _, changed in changes]
        distances = self.distance(np.stack([describe_normalised(looked.pictures, spec) for looked in looks]))
        usual = distances <= self.doubtful
        fixed = [index for index, looked in enumerate(looks) if _has_lungs(looked) and usual[index]]
        if fixed:
            reason = changes[min(fixed, key=lambda index: float(distances[index]))][0]
            raise NotAChestXray(f"the picture looks like a chest X-ray {_FIXES[reason]}", reason)

    def _doubts(self, distance: float, colour: float, looked: Look) -> list[Doubt]:
        doubts = list[Doubt]()
        if distance > self.doubtful:
            detail = (
                "The picture is unusual for this model: of X-rays like those of training, hardly one in forty looks as "
                "different. The model's numbers may not hold for it."
            )
            doubts.append(Doubt(code="unlike-training", detail=detail))
        if colour > SOME_COLOUR:
            detail = "The picture has some colour, and radiographs are grey. Send the file that the detector wrote."
            doubts.append(Doubt(code="coloured", detail=detail))
        if looked.lungs_at_border:
            detail = (
                "The lungs reach a border of one grey, which may lie over a part of them or over what is beside them. "
                "The answer may be about the border. Send the X-ray whole, without a border."
            )
            doubts.append(Doubt(code="lungs-at-border", detail=detail))
        return doubts


def _has_lungs(looked: Look) -> bool:
    """Whether the lungs that were looked for are there; a model that looks for none says nothing about it."""
    return looked.lungs is None or looked.lungs.plausible


def write_detector(detector: OutOfDistributionDetector, path: Path) -> None:
    """Write a detector as plain arrays, without pickle."""
    limits = np.array([detector.doubtful, detector.refused])
    arrays = {name: getattr(detector, name).astype(np.float32) for name in _ARRAYS if name != "limits"}
    with path.open("wb") as file:
        np.savez(file, limits=limits, **arrays)


def read_detector(path: Path, *, features: int) -> OutOfDistributionDetector:
    """Read what `write_detector` wrote, for a model of so many features; raises ArtefactError for anything else."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name], dtype=np.float64) for name in _ARRAYS}
    # A foreign file can fail anywhere inside the reader: zip, header, dtype. Each means the same to us.
    except Exception as error:
        raise ArtefactError(f"{path.name} does not say what the model was trained on: {error!r}") from error
    limits, components = arrays.pop("limits"), arrays["components"]
    shapes = [arrays[name].shape for name in ("mean", "scale", "normal")] + [components.shape[1:], limits.shape]
    sound = all(np.isfinite(array).all() for array in (*arrays.values(), limits)) and bool(np.all(arrays["scale"] > 0))
    if shapes != [(features,)] * 4 + [(2,)] or not sound:
        raise ArtefactError(f"{path.name} does not fit a model of {features} features; train a new version.")
    return OutOfDistributionDetector(**arrays, doubtful=float(limits[0]), refused=float(limits[1]))
