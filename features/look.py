"""What the descriptors see of a picture: the box of its lungs, or all of it where a spec looks for none."""

from dataclasses import dataclass, replace

import numpy as np

from features.crop import Box, cut
from features.lungs import Found, canvas_of, inner, locate
from features.normalise import Normalised, normalise, standardise
from features.spec import DEFAULT_SPEC, FeatureSpec

WHOLE = Box(0.0, 0.0, 1.0, 1.0)
# The least width of a border that counts, as a share of the picture, and the distance at which lungs reach it, as a
# share of what lies between borders. At 0.06 half of all X-rays with a border around them would reach it.
_BORDER, _BESIDE = 0.02, 0.01


@dataclass(frozen=True, kw_only=True)
class Look:
    """The pictures that are described, the part of the X-ray that they show, and its lungs if they are looked for.

    `shown` is what lies between borders of one grey, all of the picture where there are none. `aspect` is the width of
    the lungs' box to its height in pixels, NaN where they are not looked for. No descriptor sees it, since the box is
    brought to a square.
    """

    pictures: Normalised
    frame: Box
    lungs: Found | None
    aspect: float
    shown: Box = WHOLE

    @property
    def lungs_at_border(self) -> bool:
        """Whether a border of one grey begins where the lungs end, on some side; it may lie over a part of them."""
        if self.lungs is None:
            return False
        shown, box = self.shown, self.lungs.box
        wide, high = _BESIDE * (shown.right - shown.left), _BESIDE * (shown.bottom - shown.top)
        return (
            (shown.left >= _BORDER and box.left - shown.left <= wide)
            or (shown.top >= _BORDER and box.top - shown.top <= high)
            or (1 - shown.right >= _BORDER and shown.right - box.right <= wide)
            or (1 - shown.bottom >= _BORDER and shown.bottom - box.bottom <= high)
        )


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
    found = replace(lungs, box=box)
    return Look(pictures=pictures, frame=frame.within(shown), lungs=found, aspect=aspect, shown=shown)
