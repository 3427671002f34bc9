"""Look-up tables of a DICOM header, for stored values and for windows: PS3.3, C.11.1 and C.11.2."""

from dataclasses import dataclass

import numpy as np

from features.reading.dicom.header import Header, tags

_ITEM = tags("LUTDescriptor", "LUTData")
_MOST_ENTRIES = 2**16


@dataclass(frozen=True, kw_only=True)
class LookUp:
    """What values become: ``first`` the first entry, each following value the next; values beyond the ends as those."""

    first: int
    entries: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """float64, of the shape of ``values``."""
        index = np.clip(np.floor(values - self.first), 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int64)].astype(np.float64)


def look_up(header: Header, keyword: str, *, signed: bool) -> LookUp | None:
    """The first table of a sequence that can be used; None where there is none. ``signed`` says what it is applied to.

    A table with fewer data than it announces cannot be used; surplus data are left alone.
    """
    for item in header.items(keyword, _ITEM):
        table = _table(item, signed=signed)
        if table is not None:
            return table
    return None


def _table(item: Header, *, signed: bool) -> LookUp | None:
    descriptor = item.numbers("LUTDescriptor")
    data = item.element("LUTData")
    if len(descriptor) < 3 or None in descriptor[:3] or data is None:
        return None
    count, first, bits = (int(value or 0) % _MOST_ENTRIES for value in descriptor[:3])
    count = count or _MOST_ENTRIES  # which its 16 bits cannot say
    if first >= _MOST_ENTRIES // 2 and (signed or item.signed("LUTDescriptor")):
        first -= _MOST_ENTRIES
    if len(data.value) >= 2 * count:
        entries = np.frombuffer(data.value[: 2 * count], f"{data.encoding.order}u2")
    elif bits <= 8 and len(data.value) >= count:
        entries = np.frombuffer(data.value[:count], np.uint8)
    else:
        return None
    return LookUp(first=first, entries=entries)
