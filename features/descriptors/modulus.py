"""The length of two-dimensional vectors, the same to the last bit wherever its arrays lie in memory."""

import numpy as np


def modulus(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Elementwise length of vectors given by two arrays of one shape, in their dtype.

    `cv2.magnitude` takes another path for arrays that are aligned otherwise, and its last bit follows the path; a
    feature cache would then depend on who wrote it.

    >>> modulus(np.array([3.0, 0.0]), np.array([4.0, -2.0]))
    array([5., 2.])
    """
    return np.asarray(np.sqrt(across * across + down * down))
