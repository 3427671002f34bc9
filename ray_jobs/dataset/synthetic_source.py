"""``synthetic:COUNT``: pictures that are made when they are read, named as the dataset names its own."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ray_jobs.dataset.entry import Entry
from ray_jobs.dataset.errors import EntryError, SourceError
from ray_jobs.dataset.layout import Label
from ray_jobs.dataset.synthetic import VERSION, chest_picture

MIN_COUNT, MAX_COUNT = 40, 1_000_000

# Ten pictures of four patients, five a class; the sizes take turns between the classes from block to block.
_BLOCK = 10
_SIZES = ((1, 4, 2, 3), (2, 3, 4, 1), (4, 1, 3, 2), (3, 2, 1, 4))
# The first patient's number less one, chosen so that even 40 pictures hold out two of the eight patients of each class.
_BEFORE = 28
_CAUSES = ("bacteria", "virus")


@dataclass(frozen=True)
class SyntheticSource:
    """``count`` pictures of both classes, 1 to 4 a patient; picture ``i`` is the same whatever ``count`` is."""

    count: int

    name: ClassVar[str] = ""

    @classmethod
    def from_count(cls, text: str) -> "SyntheticSource":
        """Parse COUNT; raises SourceError where it is no whole number in 40…1,000,000."""
        digits = text.strip().replace("_", "")
        if not (digits.isascii() and digits.isdigit() and MIN_COUNT <= int(digits) <= MAX_COUNT):
            raise SourceError(
                f"DATA_URI 'synthetic:{text}': COUNT must be a whole number from {MIN_COUNT} to {MAX_COUNT}, "
                "such as synthetic:600"
            )
        return cls(count=int(digits))

    @property
    def uri(self) -> str:
        return f"synthetic:{self.count}"

    def entries(self) -> Iterator[Entry]:
        for index in range(self.count):
            yield Entry(path=_path(index), size=-1, version=VERSION)

    def read(self, path: str) -> bytes:
        index = _index(path)
        if index is None or index >= self.count:
            raise EntryError(f"{path} is not a picture of {self.uri}")
        patient, label, picture = _who(index)
        return chest_picture(
            patient=patient, picture=picture, label=label, suffix=".png" if path.endswith(".png") else ".jpeg"
        )


def _who(index: int) -> tuple[int, Label, int]:
    """The patient's number, the class, and which of the patient's pictures ``index`` is, from 1."""
    block, rest = divmod(index, _BLOCK)
    for order, size in enumerate(_SIZES[block % len(_SIZES)]):
        if rest < size:
            return _BEFORE + 4 * block + order + 1, "NORMAL" if order < 2 else "PNEUMONIA", rest + 1
        rest -= size
    raise AssertionError(f"the sizes of block {block} do not add up to {_BLOCK}")


def _path(index: int) -> str:
    patient, label, picture = _who(index)
    suffix = "png" if (index + index // _BLOCK) % _BLOCK == 7 else "jpeg"  # evenly over both classes
    if label == "NORMAL":
        return f"NORMAL/IM-{patient:04}-{picture:04}.{suffix}"
    cause = _CAUSES[hashlib.sha256(str(patient).encode()).digest()[0] % 2]
    return f"PNEUMONIA/person{patient}_{cause}_{index + 1}.{suffix}"


def _index(path: str) -> int | None:
    """The index whose path this is; found from the numbers in the name, which hold it."""
    stem = path.rpartition("/")[2].partition(".")[0]
    numbers = [int(part) for part in stem.replace("-", "_").split("_") if part.isdigit()]
    if not numbers:
        return None
    if stem.startswith("person"):
        candidates = [numbers[-1] - 1]
    else:
        start = (numbers[0] - 1 - _BEFORE) // 4 * _BLOCK
        candidates = list(range(start, start + _BLOCK))
    return next((index for index in candidates if index >= 0 and _path(index) == path), None)
