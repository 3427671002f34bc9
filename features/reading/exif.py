"""The EXIF orientation of an image, and how to undo it.

Only the one tag is read. A block that makes no sense counts as upright, as in every viewer.
"""

import struct

import cv2
import numpy as np

ORIENTATION_TAG = 0x0112
_SHORT = 3
_MOST_ENTRIES = 512


def orientation(tiff: bytes) -> int:
    """Orientation, 1 to 8, from an EXIF block that starts with its TIFF header; 1 where none is given.

    >>> entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    >>> orientation(b"II*" + struct.pack("<xIH", 8, 1) + entry)
    6
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(min(count, _MOST_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * entry)
            if tag == ORIENTATION_TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def upright(pixels: np.ndarray, value: int) -> np.ndarray:
    """The picture as it was meant to be seen, for pixels stored with orientation ``value`` (1 to 8).

    >>> upright(np.array([[1, 2], [3, 4]], dtype=np.uint8), 3)
    array([[4, 3],
           [2, 1]], dtype=uint8)
    """
    if value >= 5:  # 5 to 8 are the first four with rows and columns exchanged
        pixels = cv2.transpose(pixels)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(value)
    return pixels if flip is None else cv2.flip(pixels, flip)
