"""Values of a DICOM header, read as leniently as viewers read them: what makes no sense counts as not there."""

import re
from collections.abc import Iterator

import numpy as np
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword

from features.reading.dicom.elements import Element, Walk

_BINARY = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "UV": "u8", "SV": "i8", "FL": "f4", "FD": "f8", "OW": "u2"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LONGEST = 4096  # bytes of a value that are looked at
_PADDING = "\x00 \t\r\n"


def tags(*keywords: str) -> frozenset[int]:
    """Tag numbers of elements that the standard's dictionary knows by these keywords."""
    return frozenset(tag_for_keyword(keyword) or 0 for keyword in keywords)


def label(keyword: str) -> str:
    """How people find an element: its name and tag."""
    tag = tag_for_keyword(keyword) or 0
    return f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def plain(number: float | None) -> str:
    """A number for a message. It is never repeated where it is too long to be what the element is for."""
    if number is None:
        return "not a number"
    return f"{number:g}" if abs(number) < 1e5 else "out of all bounds"


class Header:
    """The elements of a data set, or of an item of a sequence, by keyword."""

    def __init__(self, walk: Walk, elements: dict[int, Element]) -> None:
        self._walk = walk
        self._elements = elements

    def element(self, keyword: str) -> Element | None:
        """The element as bytes; None where it is missing or empty."""
        found = self._elements.get(tag_for_keyword(keyword) or 0)
        return found if found and (len(found.value) or found.fragments) else None

    def numbers(self, keyword: str) -> tuple[float | None, ...]:
        """All values of an element; None in the place of one that is not a finite number."""
        found = self.element(keyword)
        if found is None:
            return ()
        kind = _BINARY.get(self._vr(keyword, found))
        if kind is None:
            return tuple(_number(part) for part in _text(found).split("\\"))
        size = int(kind[1])
        values = np.frombuffer(
            found.value[: min(len(found.value), _LONGEST) // size * size], found.encoding.order + kind
        )
        return tuple(float(value) if np.isfinite(value) else None for value in values)

    def number(self, keyword: str) -> float | None:
        """The first value of an element that should have one; None where it is missing, empty or no finite number."""
        if values := self.numbers(keyword):
            return values[0]
        return None

    def decimal(self, keyword: str) -> float | None:
        """`number`, and "0,5" is a half: where one value is expected, a comma can only be a decimal one."""
        found = self.element(keyword)
        if found and self._vr(keyword, found) not in _BINARY and "\\" not in (text := _text(found)):
            return _number(text.replace(",", ".", 1))
        return self.number(keyword)

    def whole(self, keyword: str) -> int | None:
        """`number`, where it is a whole one."""
        number = self.number(keyword)
        return int(number) if number is not None and number == int(number) else None

    def text(self, keyword: str) -> str:
        """An enumerated value in capitals, without padding; empty where the element is missing."""
        found = self.element(keyword)
        return _text(found).split("\\")[0].strip(_PADDING).upper() if found else ""

    def signed(self, keyword: str) -> bool:
        """Whether the file itself says that an element holds signed numbers."""
        found = self.element(keyword)
        return found is not None and found.vr == "SS"

    def items(self, keyword: str, wanted: frozenset[int]) -> Iterator["Header"]:
        """The items of a sequence."""
        found = self.element(keyword)
        if found is not None and self._vr(keyword, found) == "SQ":
            for elements in self._walk.items(found, wanted):
                yield Header(self._walk, elements)

    def _vr(self, keyword: str, found: Element) -> str:
        """What the file says, and where it does not, the dictionary; of several the first."""
        if found.vr and found.vr != "UN":
            return found.vr
        return dictionary_VR(keyword).split(" ")[0]


def _text(found: Element) -> str:
    return bytes(found.value[:_LONGEST]).decode("latin-1")


def _number(text: str) -> float | None:
    stripped = text.strip(_PADDING)
    if not _NUMBER.fullmatch(stripped):
        return None
    number = float(stripped)
    return number if np.isfinite(number) else None
