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
    """The pictures that are described, the part of the X-ray that they show, and its lungs if they are looked for."""

    pictures: Normalised
    frame: Box
    lungs: Found | None


def look(pixels: np.ndarray, spec: FeatureSpec = DEFAULT_SPEC) -> Look:
    """Look at grey pixels, 2-D uint8, uint16 or float32, of any size; lungs are taken where they are likeliest.

    >>> found = look(np.zeros((300, 200), np.uint8))
    >>> found.pictures.plain.shape, found.lungs.plausible
    ((128, 128), False)
    """
    if spec.lungs is None:
        return Look(pictures=normalise(pixels, spec.normalise), frame=WHOLE, lungs=None)
    shown = inner(pixels, spec.lungs.flat)
    canvas = canvas_of(shown.of(pixels))
    lungs = locate(canvas, spec.lungs)
    frame = lungs.box.grown(spec.lungs.margin)
    pictures = standardise(cut(canvas, frame, spec.normalise.side), spec.normalise)
    whole = replace(lungs, box=lungs.box.within(shown))
    return Look(pictures=pictures, frame=frame.within(shown), lungs=whole)
