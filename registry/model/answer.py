"""What a model says of one picture, and why that should be taken with caution."""

from dataclasses import dataclass

import numpy as np

from features.look import Look
from registry.model.out_of_distribution import Doubt

NEAR_THRESHOLD = Doubt(
    code="near-threshold",
    detail="The answer is near the threshold: taken or processed in another way, the same X-ray might get the other "
    "answer.",
)
FROM_GENERATED = Doubt(
    code="generated-model",
    detail="The model learnt from generated pictures, never from an X-ray. Its answer says nothing of a real one.",
)


@dataclass(frozen=True, kw_only=True)
class ExaminedImage:
    """A picture that the model accepts: grey pixels, what of them is described, features (D,), and doubts about it."""

    pixels: np.ndarray
    looked: Look
    features: np.ndarray
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """The calibrated probability of pneumonia, its label, and the picture that both were computed from.

    `unsure` says that the answer is near the threshold.
    """

    probability: float
    label: str
    examined: ExaminedImage
    unsure: bool = False

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why the answer should be taken with caution: for what the picture is, and for where the answer lies."""
        return self.examined.doubts + ((NEAR_THRESHOLD,) if self.unsure else ())
