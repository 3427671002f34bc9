"""What a path says: label, role, patient, and whether the name contradicts the folder."""

import itertools
import re
from dataclasses import dataclass
from typing import Literal

Label = Literal["NORMAL", "PNEUMONIA"]
Role = Literal["train", "test"]

LABELS: tuple[Label, Label] = ("NORMAL", "PNEUMONIA")

_LABEL_FOLDERS: dict[str, Label] = {label.casefold(): label for label in LABELS}
_PNEUMONIA_NAME = re.compile(r"(?P<patient>person\d+)_(?:bacteria|virus)_", re.IGNORECASE)
_NORMAL_NAME = re.compile(r"(?P<patient>(?:NORMAL\d*-)?IM-\d+)-\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture stands: ``twin`` is the path it repeats, if that exists too (see :func:`place`)."""

    label: Label
    role: Role
    patient: str
    twin: str | None


def place(path: str, *, source_name: str = "") -> Place | None:
    """What the relative ``path`` says, or None for a file that stands below no label folder.

    The nearest ``NORMAL`` or ``PNEUMONIA`` above the file, in any case, is its label. A folder ``test`` anywhere above
    that, the source's own last folder ``source_name`` included, makes its role ``test``; ``train``, ``val`` and every
    other folder leave it ``train``.

    The Kaggle archive holds all pictures a second time in ``chest_xray/chest_xray``. For a path with such a repeated
    folder ``twin`` is the path without the repetition.
    """
    *folders, name = path.split("/")
    for depth in range(len(folders) - 1, -1, -1):
        label = _LABEL_FOLDERS.get(folders[depth].casefold())
        if label is not None:
            above = folders[:depth]
            role: Role = "test" if "test" in {part.casefold() for part in (source_name, *above)} else "train"
            return Place(label=label, role=role, patient=patient_of(name), twin=_twin(above, path, source_name))
    return None


def patient_of(name: str) -> str:
    """The patient whom a file name stands for.

    ``person1000_bacteria_2931.jpeg`` is of ``person1000``, ``IM-0115-0001.jpeg`` of ``IM-0115``,
    ``NORMAL2-IM-0135-0001-0002.jpeg`` of ``NORMAL2-IM-0135``. A file of any other name is a patient of its own, whose
    id is the name without its extension: files that are named alike in several folders then count as one patient,
    which never leaks.
    """
    stem = _stem(name)
    match = _PNEUMONIA_NAME.match(stem) or _NORMAL_NAME.match(stem)
    return match["patient"] if match else stem


def contradiction(name: str, label: str) -> str | None:
    """Why a file name of the dataset's own convention cannot stand in the folder ``label``, or None if it can."""
    stem = _stem(name)
    if label == "NORMAL" and _PNEUMONIA_NAME.match(stem):
        return f"{name} is named as a picture of pneumonia but is in NORMAL"
    if label == "PNEUMONIA" and _NORMAL_NAME.match(stem):
        # Horos and OsiriX name every picture so that they export, and the dataset's normal ones were exported by them.
        named = f"{name} is named as a normal picture but is in PNEUMONIA"
        return f"{named}; if Horos named it, put its folder's name in front"
    return None


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name  # As pathlib has it, at a tenth of the time: once for every file.


def _twin(above: list[str], path: str, source_name: str) -> str | None:
    chain = [source_name, *above]
    kept = [part for before, part in itertools.pairwise(chain) if part != before]
    return "/".join([*kept, *path.split("/")[len(above) :]]) if len(kept) < len(above) else None
