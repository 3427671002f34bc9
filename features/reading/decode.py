"""Untrusted bytes to grey pixels, or an `ImageError` that says why not; never anything else."""

from collections.abc import Callable

import numpy as np

from features.reading import dicom, jpeg, png
from features.reading.errors import ImageError, UndecodableImage, UnsupportedImage
from features.reading.limits import Limits

__all__ = ["DEFAULT_LIMITS", "READING_VERSION", "Limits", "decode", "is_image", "other_kind"]

DEFAULT_LIMITS = Limits()
# Raised by hand when a file is read differently, newly refused or no longer, so that what was cached is not believed.
READING_VERSION = 7
_OTHER_KINDS = {
    b"GIF8": "a GIF",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"BM": "a BMP",
    b"RIFF": "a WebP or another RIFF file",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "compressed with gzip",
}


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    """Grey pixels of a JPEG, PNG or DICOM file: 2-D, uint8 or uint16, upright, white high.

    The kind is told by the first bytes, never by a name. Colour becomes luma (ITU-R BT.601), transparency is laid
    on black, EXIF orientation is applied, a DICOM is shown through its rescale and window. Size is checked in the
    header before pixels are allocated; a file that is not complete is refused.

    Raises `ImageTooLarge`, `UnsupportedImage` or `UndecodableImage`, and nothing else, whatever the bytes are; no text
    of the file ever stands in the message.

    >>> import cv2
    >>> ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    >>> pixels = decode(cv2.imencode(".png", ramp)[1].tobytes())
    >>> pixels.shape, pixels.dtype.name, bool(np.array_equal(pixels, ramp))
    ((64, 256), 'uint8', True)
    """
    limits.check_bytes(len(data))
    data = bytes(data)
    if not data:
        raise UndecodableImage("the file is empty; send a JPEG, PNG or DICOM image")
    reader = _reader(data)
    if reader is None:
        raise other_kind(data)
    name, read = reader
    try:
        pixels = read(data, limits)
    except ImageError:
        raise
    except Exception as error:  # decoders raise many kinds on malformed files; each means the same to the caller
        raise UndecodableImage(f"the {name} file is damaged and cannot be decoded; export it again") from error
    return np.ascontiguousarray(pixels)


def is_image(head: bytes) -> bool:
    r"""Whether a file that begins with ``head`` (132 bytes are enough) is of a kind that is taken.

    >>> is_image(b"\x89PNG\r\n\x1a\n"), is_image(b"GIF89a")
    (True, False)
    """
    return _reader(head) is not None


def _reader(data: bytes) -> tuple[str, Callable[[bytes, Limits], np.ndarray]] | None:
    if data.startswith(jpeg.MAGIC):
        return "JPEG", jpeg.decode
    if data.startswith(png.MAGIC):
        return "PNG", png.decode
    if dicom.begins(data):
        return "DICOM", dicom.decode
    return None


def other_kind(head: bytes) -> UnsupportedImage:
    """Why a file that is no `is_image` is refused.

    It names the kind where that is known; of a file that may be anything, nothing is repeated.

    >>> print(other_kind(b"GIF89a"))
    the file is a GIF, not JPEG, PNG or DICOM; convert it to one
    """
    known = next((name for magic, name in _OTHER_KINDS.items() if head.startswith(magic)), None)
    return UnsupportedImage(f"the file is {known or 'of another kind'}, not JPEG, PNG or DICOM; convert it to one")
