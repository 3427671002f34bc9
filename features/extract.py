"""Image bytes in, feature vector out."""

import hashlib

import numpy as np

from features.acquisition import other_acquisitions
from features.look import look
from features.normalise import Normalised
from features.reading.decode import decode
from features.reading.errors import UndecodableImage
from features.spec import DEFAULT_SPEC, FeatureSpec

_DRAWN = 0.95  # of the pixels; a JPEG of a mask has a few others along its edges


def extract(data: bytes, spec: FeatureSpec = DEFAULT_SPEC) -> np.ndarray:
    """float32 vector (len(spec.names),) of one JPEG, PNG or DICOM file, always finite.

    Raises `features.reading.errors.ImageError`, and nothing else, for bytes that are not such an image.

    >>> import cv2
    >>> ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    >>> vector = extract(cv2.imencode(".png", ramp)[1].tobytes())
    >>> len(vector) == len(DEFAULT_SPEC.names), bool(np.isfinite(vector).all())
    (True, True)
    >>> extract(b"GIF89a")
    Traceback (most recent call last):
    features.reading.errors.UnsupportedImage: ...
    """
    return describe(decode(data), spec)


def extract_views(data: bytes, spec: FeatureSpec = DEFAULT_SPEC) -> np.ndarray:
    """float32 (spec.rows.count, len(spec.names)): `extract`, then a row for each view, in the order of `spec.rows`.

    The views follow from the bytes alone, so that a second run gives the same. They are for training and for judging
    models: a picture is answered by its first row. Raises as `extract` does, and for a mask or a drawing.

    >>> import cv2
    >>> ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    >>> data = cv2.imencode(".png", ramp)[1].tobytes()
    >>> rows = extract_views(data)
    >>> len(rows) == DEFAULT_SPEC.rows.count, np.array_equal(rows[0], extract(data))
    (True, True)
    """
    pixels = decode(data)
    _refuse_drawings(pixels)
    views = other_acquisitions(pixels, hashlib.sha256(data).digest(), spec.acquisition) if spec.acquisition else []
    return np.stack([describe(picture, spec) for picture in (pixels, *views)])


def _refuse_drawings(pixels: np.ndarray) -> None:
    """Raise UndecodableImage for what has two greys alone, such as a mask of lungs: nothing can be learned from it."""
    extremes = (pixels == pixels.min()) | (pixels == pixels.max())
    if extremes.mean() > _DRAWN:
        raise UndecodableImage("the picture has no greys but two, as a mask or a drawing has; it is no X-ray")


def describe(pixels: np.ndarray, spec: FeatureSpec = DEFAULT_SPEC) -> np.ndarray:
    """float32 vector (len(spec.names),) of grey pixels, 2-D uint8, uint16 or float32, of any size.

    >>> ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    >>> vector = dict(zip(DEFAULT_SPEC.names, describe(ramp).tolist(), strict=True))
    >>> vector["intensity.plain.mean.r0c0"] < vector["intensity.plain.mean.r0c7"]  # dark on the left
    True
    """
    return describe_normalised(look(pixels, spec).pictures, spec)


def describe_normalised(pictures: Normalised, spec: FeatureSpec = DEFAULT_SPEC) -> np.ndarray:
    """float32 vector (len(spec.names),) of pictures that are normalised already.

    >>> from features.normalise import normalise
    >>> flat = normalise(np.full((64, 64), 7, np.uint8), DEFAULT_SPEC.normalise)
    >>> float(describe_normalised(flat)[-1])
    0.0
    """
    return np.concatenate([family.compute(pictures) for family in spec.families])
