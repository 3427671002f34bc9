"""Build the manifest of a source: list, hash what is new, quarantine, count, write."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from pyarrow.fs import FileSystem

from features.reading.decode import is_image, other_kind
from features.reading.limits import Limits
from ray_jobs.dataset.ahead import ahead
from ray_jobs.dataset.catalogue import Catalogue
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import EntryError, SourceError, TooLittleData
from ray_jobs.dataset.layout import LABELS
from ray_jobs.dataset.manifest import (
    QUARANTINE_SCHEMA,
    SCHEMA,
    Manifest,
    load_manifest,
    manifest_path,
    summary_metadata,
)
from ray_jobs.dataset.parquet import publish
from ray_jobs.dataset.quarantine import Reason
from registry.addresses import is_utf8

MAX_BYTES = Limits().max_bytes
_CHUNK = 512
_NAMED = 5
_ALIKE = (
    ". Patients are told by file names: files of one name in several folders count as one patient's, so put the "
    "folder's name in front of them if they are not"
)


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """What must be left of each class, or the job stops. Five folds by patient need five patients."""

    pictures: int = 10
    patients: int = 5
    held_out_pictures: int = 2
    held_out_patients: int = 2


FOR_TRAINING = Minimum()

Finding = tuple[str, int, str, str, str]
"""``(sha256, size, reason, detail, path)`` of a file that was read."""

Examiner = Callable[[Source, Iterator[list[tuple[str, int]]], int], Iterator[list[Finding]]]
"""Examines lots of (path, size) of a source, so many files in all, and gives their findings in the same order."""


def build_manifest(
    source: Source,
    *,
    filesystem: FileSystem,
    base: str,
    minimum: Minimum | None = FOR_TRAINING,
    examiner: Examiner | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """List ``source``, hash what is new since its last manifest below ``base``, and write manifest and report.

    ``examiner`` reads and hashes the files, by default here. ``on_progress`` is called with (entries hashed, entries to
    hash). Without a ``minimum`` nothing has to be left, for data that are not trained on. Both files are written even
    where too little is left, so that the report can be read.

    Raises
    ------
    SourceError
        The source cannot be listed or read, or nothing in it stands below NORMAL and PNEUMONIA.
    TooLittleData
        Less than ``minimum`` is left of a class.
    """
    if not is_utf8(source.uri):
        raise SourceError(f"the folder {source.uri!r} has bytes in its name that are not UTF-8; rename it")
    with closing(Catalogue()) as catalogue:
        catalogue.take(source)
        _both_labels(catalogue, source)
        if previous := load_manifest(source, filesystem=filesystem, base=base):
            catalogue.reuse(previous)
        hashed = _hash(source, catalogue, examiner=examiner or examine_here, on_progress=on_progress)
        catalogue.settle()
        manifest = _summarised(source, catalogue, filesystem=filesystem, base=base)
        publish(catalogue.unused(), QUARANTINE_SCHEMA, filesystem=filesystem, path=manifest.quarantine_path)
        publish(
            catalogue.used(), SCHEMA, filesystem=filesystem, path=manifest.path, metadata=summary_metadata(manifest)
        )
    if minimum is not None:
        _enough(manifest, minimum)
    return replace(manifest, hashed=hashed)


def _both_labels(catalogue: Catalogue, source: Source) -> None:
    missing = [label for label in LABELS if label not in catalogue.labels()]
    if missing:
        folders = ", ".join(map(repr, catalogue.unlabelled_folders(_NAMED)))
        archive = catalogue.archive()
        raise SourceError(
            f"{source.uri} holds no pictures in a folder {' nor '.join(missing)}"
            f"{f' (other folders there: {folders})' if folders else ''}"
            f"{f' ({archive!r} is there, which has to be unpacked)' if archive else ''}; pictures must be in "
            ".../NORMAL/* and .../PNEUMONIA/*, with or without train/, val/ and test/ above, such as "
            "train/NORMAL/IM-0115-0001.jpeg and train/PNEUMONIA/person1_bacteria_1.jpeg"
        )


def _hash(
    source: Source, catalogue: Catalogue, *, examiner: Examiner, on_progress: Callable[[int, int], None] | None
) -> int:
    total, done = catalogue.count(hashed=False), 0
    if total == 0:
        return 0
    for findings in examiner(source, catalogue.unhashed(_CHUNK), total):
        catalogue.record(findings)
        for _ in findings:
            done += 1
            if on_progress:
                on_progress(done, total)
    return total


def examine_here(source: Source, lots: Iterator[list[tuple[str, int]]], _total: int) -> Iterator[list[Finding]]:
    """What was found in each lot of files, given as (path, size), read by threads of this process."""
    for lot in lots:
        yield list(ahead(lambda row: examine(source, *row), lot))


def examine(source: Source, path: str, size: int) -> Finding:
    """Read and hash one file."""
    if size == 0:
        return "", 0, Reason.UNREADABLE.value, "the file is empty", path
    if size > MAX_BYTES:
        return "", size, Reason.TOO_LARGE.value, f"{size:,} bytes; at most {MAX_BYTES:,} are taken", path
    try:
        data = source.read(path)
    except EntryError as error:
        return "", size, Reason.UNREADABLE.value, str(error), path
    reason, detail = "", ""
    if not data:
        reason, detail = Reason.UNREADABLE.value, "the file is empty"
    elif not is_image(data[:132]):
        reason, detail = Reason.NOT_AN_IMAGE.value, str(other_kind(data[:132]))
    return hashlib.sha256(data).hexdigest(), len(data), reason, detail, path


def _summarised(source: Source, catalogue: Catalogue, *, filesystem: FileSystem, base: str) -> Manifest:
    pictures: dict[str, dict[str, int]] = {side: dict.fromkeys(LABELS, 0) for side in ("train", "held-out", "test")}
    patients: dict[str, dict[str, int]] = {side: dict.fromkeys(LABELS, 0) for side in ("train", "held-out", "test")}
    for side, label, picture_count, patient_count in catalogue.sides():
        pictures[side][label], patients[side][label] = picture_count, patient_count
    return Manifest(
        filesystem=filesystem,
        path=manifest_path(base, source.uri),
        uri=source.uri,
        digest=catalogue.digest(),
        rows=catalogue.count(hashed=True),
        pictures=pictures,
        patients=patients,
        quarantined=catalogue.quarantined(),
    )


def _enough(manifest: Manifest, minimum: Minimum) -> None:
    needs = {
        "train": ("to train on", minimum.pictures, minimum.patients),
        "held-out": ("to judge by", minimum.held_out_pictures, minimum.held_out_patients),
    }
    lacks = [
        f"{label} has {manifest.pictures[side][label]} pictures of {manifest.patients[side][label]} patients {purpose} "
        f"(at least {pictures} of {patients} are needed)"
        for side, (purpose, pictures, patients) in needs.items()
        for label in LABELS
        if manifest.pictures[side][label] < pictures or manifest.patients[side][label] < patients
    ]
    if lacks:
        there = ", ".join(
            f"{pictures} {label} of {patients} patients"
            for label, (pictures, patients) in ((label, manifest.count_of(label)) for label in LABELS)
        )
        left_out = manifest.left_out
        fix = f", or fix what was left out: {left_out}, listed in {manifest.quarantine_path}" if left_out else ""
        alike = any(
            manifest.pictures[side][label] >= pictures and manifest.patients[side][label] < patients
            for side, (_, pictures, patients) in needs.items()
            for label in LABELS
        )
        raise TooLittleData(
            f"too little data in {manifest.uri} ({there}): {'; '.join(lacks)}. One patient in five is held out to "
            f"judge by, and test/ is never trained on: add pictures of other patients{fix}{_ALIKE if alike else ''}"
        )
