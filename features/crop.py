"""A box of a picture, brought to a square."""

from typing import NamedTuple

import cv2
import numpy as np

_FINE = 1.2  # pixels of the picture to a pixel of the square, from which a square would show aliases
_SOFTNESS = 0.45  # of the Gaussian that takes these away, in pixels of the square


class Box(NamedTuple):
    """Ends of a box as shares of a picture's width and height; it may reach beyond the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, margin: float) -> "Box":
        """The box with a margin on each side, as a share of its width and height."""
        wide, high = margin * (self.right - self.left), margin * (self.bottom - self.top)
        return Box(self.left - wide, self.top - high, self.right + wide, self.bottom + high)

    def within(self, outer: "Box") -> "Box":
        """The box in shares of the picture, of one that is given in shares of ``outer``."""
        wide, high = outer.right - outer.left, outer.bottom - outer.top
        return Box(
            outer.left + self.left * wide,
            outer.top + self.top * high,
            outer.left + self.right * wide,
            outer.top + self.bottom * high,
        )

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels of a picture inside the box, which lies within the picture."""
        height, width = pixels.shape
        rows, columns = (
            slice(round(self.top * height), round(self.bottom * height)),
            slice(round(self.left * width), round(self.right * width)),
        )
        return pixels[rows, columns]


def cut(picture: np.ndarray, box: Box, side: int) -> np.ndarray:
    """float32 (side, side): what the box shows of a float32 picture; beyond its rim the rim's pixels go on.

    >>> halves = np.repeat(np.float32([[0.0, 1.0]]), 32, axis=1).repeat(64, axis=0)
    >>> cut(halves, Box(0.5, 0.0, 1.0, 1.0), 32).mean().round(2).item()  # the right half
    1.0
    """
    height, width = picture.shape
    across, down = (box.right - box.left) * width / side, (box.bottom - box.top) * height / side
    if max(across, down) > _FINE:
        soft = (max(_SOFTNESS * across, 0.01), max(_SOFTNESS * down, 0.01))
        picture = cv2.GaussianBlur(picture, (0, 0), sigmaX=soft[0], sigmaY=soft[1])
    matrix = np.array(
        [
            [across, 0.0, box.left * width + 0.5 * (across - 1)],
            [0.0, down, box.top * height + 0.5 * (down - 1)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE))
