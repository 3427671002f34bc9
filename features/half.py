"""A picture at half its size, and at half of that: the steps of a pyramid.

P. J. Burt, E. H. Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on Communications 31(4),
1983.
"""

import cv2
import numpy as np


def half(picture: np.ndarray) -> np.ndarray:
    """The means of 2 × 2 pixels of a 2-D picture, in its dtype. Half of an odd side is rounded.

    >>> half(np.array([[0, 2, 4, 4], [4, 6, 4, 4]], np.float32)).tolist()
    [[3.0, 4.0]]
    """
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def halved(picture: np.ndarray, size: float, *, least: float) -> tuple[np.ndarray, float]:
    """The picture, halved as often as a size in pixels stays at least ``least``, and what the size is there.

    >>> small, size = halved(np.zeros((64, 64), np.float32), 10.0, least=2.0)
    >>> small.shape, size
    ((16, 16), 2.5)
    """
    while size >= 2 * least:
        picture, size = half(picture), size / 2
    return picture, size
