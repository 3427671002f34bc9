"""Untrusted bytes to grey pixels, or an `ImageError` that says why not; never anything else."""

from collections.abc import Callable

import numpy as np

from features.reading import dicom, jpeg, png
from features.reading.errors import ImageError, UndecodableImage, UnsupportedImage
from features.reading.limits import Limits

__all__ = ["DEFAULT_LIMITS", "Limits", "decode"]

DEFAULT_LIMITS = Limits()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    """Grey pixels of a JPEG, PNG or DICOM file: 2-D, uint8 or uint16, upright, white high.

    The kind is told by the first bytes, never by a name. Colour becomes luma (ITU-R BT.601), transparency is laid
    on black, EXIF orientation is applied, a DICOM is shown through its rescale and window. Size is checked
    in the header before pixels are allocated; a file that is not complete is refused.

    Raises `ImageTooLarge`, `UnsupportedImage` or `UndecodableImage`, and nothing else, whatever the bytes are.
    """
    limits.check_bytes(len(data))
    data = bytes(data)
    name, read = _reader(data)
    try:
        pixels = read(data, limits)
    except ImageError:
        raise
    except Exception as error:  # decoders raise many kinds on malformed files; each means the same to the caller
        raise UndecodableImage(
            f"the {name} file cannot be decoded ({type(error).__name__}); export it again"
        ) from error
    return np.ascontiguousarray(pixels)


def _reader(data: bytes) -> tuple[str, Callable[[bytes, Limits], np.ndarray]]:
    if not data:
        raise UndecodableImage("the file is empty; send a JPEG, PNG or DICOM image")
    if data.startswith(jpeg.MAGIC):
        return "JPEG", jpeg.decode
    if data.startswith(png.MAGIC):
        return "PNG", png.decode
    if data[dicom.MAGIC_AT : dicom.MAGIC_AT + len(dicom.MAGIC)] == dicom.MAGIC:
        return "DICOM", dicom.decode
    raise UnsupportedImage(f"the file begins with {data[:8].hex()}, which is not JPEG, PNG or DICOM; convert it to one")
