"""From the bytes of a DICOM file to its data set: preamble, file header, transfer syntax (PS3.10, chapter 7).

Files of old archives lack the preamble, the header or its transfer syntax; then the first element tells how it is
written. It also does where the header says otherwise.
"""

import struct
import zlib

from pydicom.config import IGNORE
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)
from pydicom.valuerep import STANDARD_VR

from features.reading.dicom.elements import Encoding, Walk
from features.reading.dicom.header import Header
from features.reading.errors import ImageTooLarge, UndecodableImage, UnsupportedImage
from features.reading.limits import Limits

_MAGIC = b"DICM"
_MAGIC_AT = 128
_META_GROUP = 0x0002
_TRANSFER_SYNTAX = 0x00020010
_META = Encoding(implicit=False, little=True)
# Run-length coding, which expands without bound, is not among them, nor are codecs that OpenCV does not carry.
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
# Of an element that can come first in a file without a header.
_FIRST_GROUPS = (0x0002, 0x0008)
_LAST_FIRST_ELEMENT = 0x0018
_VRS = frozenset(vr.encode() for vr in STANDARD_VR)
_LONGEST_FIRST = 256


def begins(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (132 bytes are enough) is a DICOM file, with or without a preamble."""
    if _MAGIC in (head[:4], head[_MAGIC_AT : _MAGIC_AT + 4]):
        return True
    if len(head) < 8:
        return False
    order = "<" if _is_little(head, 0) else ">"
    group, element = struct.unpack_from(order + "HH", head)
    if group not in _FIRST_GROUPS or element > _LAST_FIRST_ELEMENT:
        return False
    return head[4:6] in _VRS or struct.unpack_from(order + "I", head, 4)[0] <= _LONGEST_FIRST


def read(data: bytes, limits: Limits, wanted: frozenset[int]) -> tuple[Header, bool]:
    """The header of the data set with the elements wanted, and whether its pixels are a JPEG.

    Raises `UnsupportedImage` for a transfer syntax that is not taken, `UndecodableImage` where the elements cannot be
    told apart, `ImageTooLarge` for a deflated data set that is too long.
    """
    view = memoryview(data)
    syntax, at = _meta(view)
    if syntax and syntax not in NATIVE and syntax not in JPEG:
        known = UID(syntax, validation_mode=IGNORE).name  # of what is not a UID it would warn, and repeat it
        named = f", {known}," if known != syntax else ""
        raise UnsupportedImage(
            f"the DICOM's Transfer Syntax UID (0002,0010){named} is none that is taken; export the image uncompressed "
            f"(Explicit VR Little Endian, {ExplicitVRLittleEndian})"
        )
    if syntax == DeflatedExplicitVRLittleEndian:
        view, at = memoryview(_inflated(view[at:], limits)), 0
    walk = Walk(view)
    return Header(walk, walk.elements(at, len(view), _encoding(view, at, syntax), wanted)), syntax in JPEG


def _meta(view: memoryview) -> tuple[str, int]:
    """The transfer syntax, empty where none is named, and where the data set starts."""
    at = 0
    for magic_at in (_MAGIC_AT, 0):
        if bytes(view[magic_at : magic_at + 4]) == _MAGIC:
            at = magic_at + len(_MAGIC)
            break
    walk, syntax = Walk(view), ""
    while (head := walk.head(at, len(view), _META)) and head.tag >> 16 == _META_GROUP:
        if head.begin + head.length > len(view):
            raise UndecodableImage("the DICOM is cut short inside its file header; send the whole file")
        if head.tag == _TRANSFER_SYNTAX:
            syntax = bytes(view[head.begin : head.begin + min(head.length, 64)]).decode("latin-1").strip("\x00 ")
        at = head.begin + head.length
    return syntax, at


def _encoding(view: memoryview, at: int, syntax: str) -> Encoding:
    little = _is_little(view, at)
    vr = bytes(view[at + 4 : at + 6])
    implicit = vr not in _VRS if syntax in ("", ImplicitVRLittleEndian) else not (vr.isalpha() and vr.isupper())
    return Encoding(implicit=implicit, little=little)


def _is_little(view: memoryview | bytes, at: int) -> bool:
    """Whether the first group's number is written with its low byte first: first groups are low numbers."""
    first = bytes(view[at : at + 2])
    return int.from_bytes(first, "little") <= int.from_bytes(first, "big")


def _inflated(deflated: memoryview, limits: Limits) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(deflated, limits.max_bytes)
    except zlib.error as error:
        raise UndecodableImage("the DICOM's deflated data set is corrupt; export it again, uncompressed") from error
    if inflater.unconsumed_tail:
        raise ImageTooLarge(
            f"the DICOM's deflated data set has more than {limits.max_bytes:,} bytes, the limit; send a smaller image"
        )
    return data
