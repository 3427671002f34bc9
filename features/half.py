"""A picture at half its size: a step of a pyramid.

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
