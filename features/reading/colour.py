"""How much colour an encoded picture has: a radiograph has none, whatever kind of file holds it."""

import cv2
import numpy as np

from features.reading import jpeg, png


def colourfulness(data: bytes) -> float:
    """Mean difference between a pixel's strongest and weakest channel, 0 for grey to 1, of a file that `decode` takes.

    A file that has no colour channels is not decoded for it, and a JPEG only at an eighth of its size.

    >>> blue = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    >>> colourfulness(cv2.imencode(".png", blue)[1].tobytes())
    1.0
    >>> colourfulness(cv2.imencode(".png", blue[:, :, 0])[1].tobytes())
    0.0
    """
    picture = _with_channels(data)
    if picture is None:
        return 0.0
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        return 0.0
    blue, green, red = cv2.split(pixels)
    spread = cv2.subtract(cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red))
    return float(np.mean(spread)) / 255.0


def _with_channels(data: bytes) -> bytes | None:
    """What to decode of a file that has colour channels; of DICOM only grey pictures are taken."""
    if data.startswith(jpeg.MAGIC):
        return data if jpeg.read_header(data).channels > 1 else None
    if data.startswith(png.MAGIC):
        header = png.read_header(data)
        return png.without_notes(data, header) if header.coloured else None
    return None
