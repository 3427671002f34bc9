"""What a PNG file says of itself, read from its chunks without inflating, and whether it is complete.

The checksum of every chunk that makes the picture is verified, so no altered or shortened file reaches the decoder.
Notes about it (texts, colour profiles) are often wrong and never needed: viewers pass over them, and here the decoder
does not get them, since it would repeat their text on standard error.
Chunk layouts are those of the W3C PNG specification, third edition.
"""

import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from features.reading.errors import UndecodableImage, UnsupportedImage
from features.reading.exif import orientation, upright
from features.reading.grey_range import robust_range
from features.reading.limits import Limits

MAGIC = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2  # the colour type of grey alone, and the bit of one that says colour
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_MEANT = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # the chunks that need not be there, and yet make the picture


@dataclass(frozen=True, kw_only=True)
class PngHeader:
    """Size in stored pixels, bits a sample, whether it holds colour, EXIF orientation 1 to 8, where its notes stand.

    ``clear`` is the grey that stands for transparent, where a grey file names one.
    """

    width: int
    height: int
    depth: int
    coloured: bool
    orientation: int
    notes: tuple[slice, ...]
    clear: int | None


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """Grey pixels (rows, columns), upright, in the file's own uint8 or uint16. Raises any `ImageError`."""
    header = read_header(data)
    limits.check_size(header.width, header.height)
    picture = without_notes(data, header)
    pixels = cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UndecodableImage("the PNG's picture data cannot be decoded; save it again from an image program")
    if header.clear is not None and pixels.ndim == 2:  # which OpenCV passes over
        pixels[pixels == header.clear] = 0
    return upright(_in_range(_grey(pixels)), header.orientation)


def without_notes(data: bytes, header: PngHeader) -> bytes:
    """The file for a decoder: only the chunks that make the picture."""
    kept, at = [], 0
    for note in header.notes:
        kept.append(data[at : note.start])
        at = note.stop
    return b"".join([*kept, data[at:]]) if kept else data


def _in_range(pixels: np.ndarray) -> np.ndarray:
    """What is 16 bits deep often comes from a DICOM, with padding and with the 10 to 14 bits of a detector.

    Padding does not decide the range of greys, and white is white however few bits it was written with.
    """
    if pixels.dtype != np.uint16:
        return pixels
    counts = np.bincount(pixels.ravel())
    values = np.flatnonzero(counts)
    low, high = robust_range(values, counts[values])
    if (low, high) != (values[0], values[-1]):
        pixels = np.clip(pixels, int(low), int(high))
    return pixels << (16 - max(int(high).bit_length(), 8)) if high else pixels


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
    turned, clear = 1, None
    has_pixels = False
    notes = []
    position = len(MAGIC)
    while True:
        start = position
        kind, body, position = _chunk(data, position)
        if _is_note(kind):
            notes.append(slice(start, position))
        if shape is None:
            if kind != b"IHDR" or len(body) != 13:
                raise UndecodableImage("the PNG does not begin with its header; send the file again")
            shape = struct.unpack_from(">IIBB", body)
        elif kind == b"IDAT":
            has_pixels = True
        elif kind == b"acTL":
            raise UnsupportedImage("an animated PNG is not taken; send one still image")
        elif kind == b"tRNS" and shape[3] == _GREY and len(body) == 2:
            clear = _as_decoded(int.from_bytes(body, "big"), shape[2])
        elif kind == b"eXIf":
            turned = orientation(bytes(body))
        elif kind == b"IEND":
            break
    if not has_pixels:
        raise UndecodableImage("the PNG holds no picture data; send the whole file")
    return PngHeader(
        width=shape[0],
        height=shape[1],
        depth=shape[2],
        coloured=bool(shape[3] & _COLOUR),
        orientation=turned,
        notes=tuple(notes),
        clear=clear,
    )


def _as_decoded(grey: int, depth: int) -> int:
    """A grey of so many bits as the decoder gives it: fewer than eight are spread over eight."""
    grey &= 2**depth - 1
    return grey if depth >= 8 else grey * 255 // (2**depth - 1)


def _chunk(data: bytes, position: int) -> tuple[bytes, memoryview, int]:
    """Kind, contents and end of the chunk at a position; a note whose checksum is wrong has no contents."""
    start = position + 8
    if start > len(data):
        raise UndecodableImage("the PNG is truncated: it stops before its end chunk; send the whole file")
    length, kind = struct.unpack_from(">I4s", data, position)
    named = f"its {kind.decode()} chunk" if kind in _CRITICAL else "a chunk"
    end = start + length
    if end + 4 > len(data):
        raise UndecodableImage(f"the PNG is truncated inside {named}; send the whole file")
    body = memoryview(data)[start:end]
    (expected,) = struct.unpack_from(">I", data, end)
    if zlib.crc32(body, zlib.crc32(kind)) != expected:
        if not _is_note(kind):
            raise UndecodableImage(f"the PNG is corrupt: the checksum of {named} is wrong; send the file again")
        body = memoryview(b"")
    return kind, body, end + 4


def _is_note(kind: bytes) -> bool:
    """Whether a chunk is ancillary by its name, more than one bit of which would be wrong if it were not."""
    return kind.isalpha() and kind[:1].islower() and kind.upper() not in _CRITICAL and kind not in _MEANT
