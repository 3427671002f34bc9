"""What a JPEG file says of itself, read from its markers without decoding, and whether it is complete.

OpenCV decodes a JPEG cut anywhere in its scan and fills the rest with grey: so the end marker is looked for here.
Marker numbers are those of ITU-T T.81, table B.1.
"""

import re
from dataclasses import dataclass

import cv2
import numpy as np

from features.reading.errors import UndecodableImage, UnsupportedImage
from features.reading.exif import orientation, upright
from features.reading.limits import Limits

MAGIC = b"\xff\xd8\xff"
_END = 0xD9
_MOST_SCANS = 64  # usual are 1 or about 10; thousands of empty ones would keep the decoder busy for minutes
_SCAN = 0xDA
_APP1 = 0xE1
_EXIF = b"Exif\x00\x00"
_TAKEN_FRAMES = {0xC0: "baseline", 0xC1: "extended sequential", 0xC2: "progressive"}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_ANY_MARKER = re.compile(rb"\xff[^\x00\xff]")
# A marker inside scan data: not a stuffed zero, not a restart, not fill.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True, kw_only=True)
class JpegHeader:
    """Size in stored pixels (before the orientation is applied), colour channels, and the EXIF orientation, 1 to 8."""

    width: int
    height: int
    channels: int
    orientation: int


def decode(data: bytes, limits: Limits, *, as_stored: bool = False) -> np.ndarray:
    """uint8 luma (rows, columns), upright, or ``as_stored`` where it is part of another file.

    Raises any `ImageError`.
    """
    header = read_header(data)
    limits.check_size(header.width, header.height)
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise UndecodableImage("the JPEG's picture data cannot be decoded; save it again from an image program")
    if pixels.shape != (header.height, header.width):
        raise UndecodableImage("the JPEG holds a picture of another size than it announces; save it again")
    return pixels if as_stored else upright(pixels, header.orientation)


def read_header(data: bytes) -> JpegHeader:
    """Walk all markers to the end of the image.

    Raises `UndecodableImage` for a file that is cut short or malformed, `UnsupportedImage` for lossless,
    hierarchical, arithmetic-coded or 12-bit frames.
    """
    size: tuple[int, int, int] | None = None
    turned = 1
    scans = 0
    position = 2
    while True:
        marker, position = _marker(data, position)
        if marker == _END:
            break
        if marker in _STANDALONE:
            continue
        body = _segment(data, position)
        position += 2 + len(body)
        if marker in _OTHER_FRAMES:
            raise UnsupportedImage("this kind of JPEG (lossless or arithmetic) is not taken; save it as baseline JPEG")
        if marker in _TAKEN_FRAMES:
            if size is not None:
                raise UndecodableImage("the JPEG announces its size twice; save it again from an image program")
            size = _frame_size(body)
        elif marker == _APP1 and body.startswith(_EXIF):
            turned = orientation(body[len(_EXIF) :])
        elif marker == _SCAN:
            scans += 1
            if scans > _MOST_SCANS:
                raise UnsupportedImage(f"the JPEG has more than {_MOST_SCANS} scans; save it as baseline JPEG")
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                raise _cut("in its picture data")
            position = found.start()
    if size is None or scans == 0:
        raise UndecodableImage("the JPEG ends before any picture data; send the whole file")
    return JpegHeader(width=size[0], height=size[1], channels=size[2], orientation=turned)


def _marker(data: bytes, position: int) -> tuple[int, int]:
    found = _ANY_MARKER.search(data, position)  # decoders pass over what stands between segments
    if found is None:
        raise _cut("before its end marker")
    return data[found.end() - 1], found.end()


def _segment(data: bytes, position: int) -> bytes:
    length = int.from_bytes(data[position : position + 2], "big")
    if position + 2 > len(data) or position + length > len(data):
        raise _cut("inside its header")
    if length < 2:
        raise UndecodableImage(f"the JPEG is corrupt at byte {position:,}: a segment of {length} bytes; send it again")
    return data[position + 2 : position + length]


def _frame_size(body: bytes) -> tuple[int, int, int]:
    if len(body) < 6:
        raise UndecodableImage("the JPEG's frame header is too short; send the file again")
    if body[0] != 8:
        raise UnsupportedImage(f"a JPEG of {body[0]} bits a sample is not taken; save it with 8 bits, or as PNG")
    return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"), body[5]


def _cut(where: str) -> UndecodableImage:
    return UndecodableImage(f"the JPEG is truncated: it stops {where}; send the whole file")
