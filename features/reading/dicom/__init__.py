"""A DICOM file to displayable grey pixels. Of a multi-frame file nothing is guessed: it is refused.

Header facts that change what pixels mean are honoured, or refused by the name of their element. Optional elements that
are empty or make no sense count as not there, as in viewers. No text of a header ever stands in a message.
"""

import cv2
import numpy as np

from features.reading.dicom.display import display
from features.reading.dicom.file import begins, read
from features.reading.dicom.header import tags
from features.reading.dicom.pixels import read_format, stored_words
from features.reading.limits import Limits

__all__ = ["begins", "decode", "texts"]

_WANTED = tags(
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationLUTShape",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
)


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """uint16 array (rows, columns), white high, over the whole range of what is shown. Raises any `ImageError`."""
    header, is_jpeg = read(data, limits, _WANTED)
    pixels = read_format(header, limits)
    words = stored_words(header, pixels, is_jpeg, limits)
    counts = np.bincount(words.ravel(), minlength=2**pixels.allocated)
    shown = display(header, pixels, counts)
    grey = shown.grey[words]
    if counts[shown.padding].any():
        grey[_outside(shown.padding[words])] = 0
    return grey


def texts(data: bytes, limits: Limits, *keywords: str) -> dict[str, str]:
    """Text of the header by keyword, in capitals; empty where an element is missing. Raises any `ImageError`."""
    header, _ = read(data, limits, tags(*keywords))
    return {keyword: header.text(keyword) for keyword in keywords}


def _outside(padding: np.ndarray) -> np.ndarray:
    """The padding that reaches the border. Values that equal it inside the picture are the picture's own."""
    count, areas = cv2.connectedComponents(padding.astype(np.uint8), connectivity=4)
    outside = np.zeros(count, dtype=bool)
    for side in (areas[0], areas[-1], areas[:, 0], areas[:, -1]):
        outside[side] = True
    outside[0] = False  # what is no padding
    return outside[areas]
