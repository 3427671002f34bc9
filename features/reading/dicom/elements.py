"""The elements of a DICOM data set as bytes, found by walking over it once: PS3.5, chapter 7.

pydicom reads far more than is needed here, and repeats values of the header, which can name a patient, in warnings and
log lines. This walk decodes no text, recurses nowhere, and has no exception but `ImageError`.
"""

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from features.reading.errors import UndecodableImage

PIXEL_DATA = 0x7FE00010
_ITEM = 0xFFFEE000
_ENDS = (0xFFFEE00D, 0xFFFEE0DD)
_UNDEFINED = 0xFFFFFFFF
_FOUR_BYTE_LENGTH = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_MOST_ELEMENTS = 20_000  # a file of nothing but tiny ones would take minutes


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How elements are written: with or without their value representation, and in which byte order."""

    implicit: bool
    little: bool

    @property
    def order(self) -> str:
        """For `struct` and for NumPy's dtypes."""
        return "<" if self.little else ">"


@dataclass(frozen=True, kw_only=True)
class Element:
    """One element: its value representation (empty where the file names none) and the bytes of its value.

    ``fragments`` are those of compressed pixel data, which is written in items.
    """

    vr: str
    value: memoryview
    encoding: Encoding
    fragments: tuple[memoryview, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stands before a value: where its element starts, tag, VR, where it starts, its length."""

    at: int
    tag: int
    vr: bytes
    begin: int
    length: int

    @property
    def undefined(self) -> bool:
        """Whether the value ends at a delimiter instead of after ``length`` bytes."""
        return self.length == _UNDEFINED


class Walk:
    """Walks over the elements of one file; all walks together see no more than a bound."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._seen = 0

    def head(self, at: int, end: int, encoding: Encoding) -> Head | None:
        """The head of the element at a position; None where too few bytes are left for one."""
        if at + 8 > end:
            return None
        self._seen += 1
        if self._seen > _MOST_ELEMENTS:
            raise UndecodableImage(f"the DICOM has more than {_MOST_ELEMENTS:,} elements; export the image by itself")
        group, element = struct.unpack_from(encoding.order + "HH", self._data, at)
        tag, vr = group << 16 | element, bytes(self._data[at + 4 : at + 6])
        if encoding.implicit or group == 0xFFFE or not (vr.isalpha() and vr.isupper()):  # some writers mix both
            (length,) = struct.unpack_from(encoding.order + "I", self._data, at + 4)
            return Head(at=at, tag=tag, vr=b"", begin=at + 8, length=length)
        if vr not in _FOUR_BYTE_LENGTH:
            (length,) = struct.unpack_from(encoding.order + "H", self._data, at + 6)
            return Head(at=at, tag=tag, vr=vr, begin=at + 8, length=length)
        if at + 12 > end:
            raise _cut(at)
        (length,) = struct.unpack_from(encoding.order + "I", self._data, at + 8)
        return Head(at=at, tag=tag, vr=vr, begin=at + 12, length=length)

    def elements(self, at: int, end: int, encoding: Encoding, wanted: frozenset[int]) -> dict[int, Element]:
        """The wanted elements between two positions, by tag; nothing is read beyond the pixel data."""
        found: dict[int, Element] = {}
        while head := self.head(at, end, encoding):
            if head.tag in _ENDS:
                break
            fragments = None
            if head.undefined and head.tag == PIXEL_DATA:
                fragments = tuple(self._fragments(head.begin, end, encoding))
                stop = at = head.begin
            elif head.undefined:
                stop, at = self._undefined(head, end, encoding)
            else:
                stop = at = head.begin + head.length
            if stop > end and head.tag != PIXEL_DATA:  # how much of the picture is missing is told by its reader
                raise _cut(head.at)
            if head.tag in wanted:
                vr, value = head.vr.decode("ascii"), self._data[head.begin : min(stop, end)]
                found[head.tag] = Element(vr=vr, value=value, encoding=encoding, fragments=fragments)
            if head.tag == PIXEL_DATA:
                break
        return found

    def items(self, sequence: Element, wanted: frozenset[int]) -> Iterator[dict[int, Element]]:
        """The wanted elements of each item of a sequence, up to the first item that cannot be read."""
        walk = Walk(sequence.value)
        walk._seen = self._seen
        with contextlib.suppress(UndecodableImage):
            yield from walk._items(sequence, wanted)

    def _items(self, sequence: Element, wanted: frozenset[int]) -> Iterator[dict[int, Element]]:
        at, end = 0, len(sequence.value)
        while (head := self.head(at, end, sequence.encoding)) and head.tag == _ITEM:
            if head.undefined:
                stop, at = self._undefined(head, end, sequence.encoding)
            else:
                stop = at = head.begin + head.length
            yield self.elements(head.begin, min(stop, end), sequence.encoding, wanted)

    def _undefined(self, opening: Head, end: int, encoding: Encoding) -> tuple[int, int]:
        """Where a value of undefined length ends, and where the next element starts; what is nested is passed over.

        What is of unknown type (UN) is written without value representations by the standard (PS3.5, 6.2.2).
        """
        if opening.vr == b"UN":
            with contextlib.suppress(UndecodableImage):
                return self._end(opening, end, replace(encoding, implicit=True))
        return self._end(opening, end, encoding)

    def _end(self, opening: Head, end: int, encoding: Encoding) -> tuple[int, int]:
        depth, at = 1, opening.begin
        while head := self.head(at, end, encoding):
            at = head.begin
            if head.tag in _ENDS:
                depth -= 1
                if depth == 0:
                    return head.at, at
            elif head.undefined:
                depth += 1
            else:
                at += head.length
        raise _cut(opening.at)

    def _fragments(self, at: int, end: int, encoding: Encoding) -> Iterator[memoryview]:
        while (head := self.head(at, end, encoding)) and head.tag == _ITEM:
            at = head.begin + head.length
            if head.undefined or at > end:
                raise UndecodableImage("the DICOM is cut short inside its pixel data; send the whole file")
            yield self._data[head.begin : at]


def _cut(at: int) -> UndecodableImage:
    return UndecodableImage(
        f"the DICOM's element at byte {at:,} does not end within the file; send the whole file, or export it again"
    )
