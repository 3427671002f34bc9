"""What a PNG file says of itself, read from its chunks without inflating, and whether it is complete.

Every chunk's checksum is verified, so no altered or shortened file reaches the decoder.
Chunk layouts are those of the W3C PNG specification, third edition.
"""

import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from features.reading.errors import UndecodableImage, UnsupportedImage
from features.reading.exif import orientation, upright
from features.reading.limits import Limits

MAGIC = b"\x89PNG\r\n\x1a\n"
_COLOUR = 2  # the bit of the colour type that says so


@dataclass(frozen=True, kw_only=True)
class PngHeader:
    """Size in stored pixels, bits a sample, whether it holds colour, EXIF orientation 1 to 8."""

    width: int
    height: int
    depth: int
    coloured: bool
    orientation: int


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """Grey pixels (rows, columns), upright, in the file's own uint8 or uint16. Raises any `ImageError`."""
    header = read_header(data)
    limits.check_size(header.width, header.height)
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UndecodableImage("the PNG's picture data cannot be decoded; save it again from an image program")
    return upright(_grey(pixels), header.orientation)


def _grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels
    grey = cv2.cvtColor(pixels[:, :, :3], cv2.COLOR_BGR2GRAY)
    if pixels.shape[2] == 4:  # on black, as a film is on its viewing box: what is transparent is not there
        opaque = np.iinfo(pixels.dtype).max
        grey = np.rint(grey * (pixels[:, :, 3] / np.float32(opaque))).astype(pixels.dtype)
    return grey


def read_header(data: bytes) -> PngHeader:
    """Walk all chunks to IEND.

    Raises `UndecodableImage` for a file that is cut short, fails a checksum or lacks a needed chunk,
    `UnsupportedImage` for an animation.
    """
    shape: tuple[int, int, int, int] | None = None
    turned = 1
    has_pixels = False
    position = len(MAGIC)
    while True:
        kind, body, position = _chunk(data, position)
        if shape is None:
            if kind != b"IHDR" or len(body) != 13:
                raise UndecodableImage("the PNG does not begin with its header; send the file again")
            shape = struct.unpack_from(">IIBB", body)
        elif kind == b"IDAT":
            has_pixels = True
        elif kind == b"acTL":
            raise UnsupportedImage("an animated PNG is not taken; send one still image")
        elif kind == b"eXIf":
            turned = orientation(bytes(body))
        elif kind == b"IEND":
            break
    if not has_pixels:
        raise UndecodableImage("the PNG holds no picture data; send the whole file")
    return PngHeader(
        width=shape[0], height=shape[1], depth=shape[2], coloured=bool(shape[3] & _COLOUR), orientation=turned
    )


def _chunk(data: bytes, position: int) -> tuple[bytes, memoryview, int]:
    start = position + 8
    if start > len(data):
        raise UndecodableImage("the PNG is truncated: it stops before its end chunk; send the whole file")
    length, kind = struct.unpack_from(">I4s", data, position)
    end = start + length
    if end + 4 > len(data):
        raise UndecodableImage(f"the PNG is truncated inside its {kind!r} chunk; send the whole file")
    body = memoryview(data)[start:end]
    (expected,) = struct.unpack_from(">I", data, end)
    if zlib.crc32(body, zlib.crc32(kind)) != expected:
        raise UndecodableImage(f"the PNG is corrupt: the checksum of its {kind!r} chunk is wrong; send the file again")
    return kind, body, end + 4
