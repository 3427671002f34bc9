"""What the descriptors see of a picture: the box of its lungs, or, for models of before there were boxes, all of it."""

from dataclasses import dataclass, replace

import numpy as np

from features.crop import Box, cut
from features.lungs import Found, canvas_of, inner, locate
from features.normalise import Normalised, normalise, standardise
from features.spec import DEFAULT_SPEC, FeatureSpec

WHOLE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Look:
    """The pictures that are described, the part of the X-ray that they show, and its lungs if they are looked for.

    `aspect` is the width of the lungs' box to its height in pixels, NaN where they are not looked for. No descriptor
    sees it, since the box is brought to a square.
    """

    pictures: Normalised
    frame: Box
    lungs: Found | None
    aspect: float


def look(pixels: np.ndarray, spec: FeatureSpec = DEFAULT_SPEC) -> Look:
    """Look at grey pixels, 2-D uint8, uint16 or float32, of any size; lungs are taken where they are likeliest.

    >>> found = look(np.zeros((300, 200), np.uint8))
    >>> found.pictures.plain.shape, found.lungs.plausible
    ((128, 128), False)
    """
    if spec.lungs is None:
        return Look(pictures=normalise(pixels, spec.normalise), frame=WHOLE, lungs=None, aspect=float("nan"))
    shown = inner(pixels, spec.lungs.flat)
    canvas = canvas_of(shown.of(pixels))
    lungs = locate(canvas, spec.lungs)
    frame = lungs.box.grown(spec.lungs.margin)
    pictures = standardise(cut(canvas, frame, spec.normalise.side), spec.normalise)
    box = lungs.box.within(shown)
    height, width = pixels.shape
    aspect = (box.right - box.left) * width / ((box.bottom - box.top) * height)
    return Look(pictures=pictures, frame=frame.within(shown), lungs=replace(lungs, box=box), aspect=aspect)
