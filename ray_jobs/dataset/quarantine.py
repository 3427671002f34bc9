"""The report of the pictures that were left out, with a reason code each."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileType

from ray_jobs.dataset.manifest import QUARANTINE_SCHEMA, Manifest
from ray_jobs.dataset.parquet import publish


class Reason(StrEnum):
    """Why a file is not used."""

    NO_LABEL_FOLDER = "no-label-folder"
    """Stands below no folder ``NORMAL`` or ``PNEUMONIA``, so that nothing says what it shows."""
    UNREADABLE = "unreadable"
    """Empty, or its bytes cannot be had."""
    TOO_LARGE = "too-large"
    """More bytes than a picture may have."""
    NOT_AN_IMAGE = "not-an-image"
    """Begins like no JPEG, PNG or DICOM file."""
    LABEL_CONTRADICTS_NAME = "label-contradicts-name"
    """``personN_bacteria`` or ``_virus`` in NORMAL, ``IM-N`` in PNEUMONIA."""
    CONFLICTING_LABELS = "conflicting-labels"
    """The same bytes stand under both labels: neither is used."""
    DUPLICATE = "duplicate"
    """The same bytes under the same label: one in ``test/``, then a file before a link, then the first path is used."""
    PATIENT_IN_TEST = "patient-in-test"
    """A training picture of a patient who stands in ``test/``."""
    UNDECODABLE = "undecodable"
    """Cannot be decoded: found by extraction, and added by :func:`add_undecodable`."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A row of the manifest whose bytes extraction could not decode."""

    path: str
    sha256: str
    detail: str


def read_quarantine(manifest: Manifest) -> pa.Table:
    """The report as a table: path, reason, detail, label, sha256, size, version; empty where there is none."""
    path = manifest.quarantine_path
    if manifest.filesystem.get_file_info(path).type != FileType.File:
        return QUARANTINE_SCHEMA.empty_table()
    return pq.read_table(path, filesystem=manifest.filesystem)


def add_undecodable(manifest: Manifest, found: Iterable[Undecodable]) -> None:
    """Add what extraction could not decode to the report of ``manifest``; adding it twice changes nothing.

    The next build of the manifest starts a new report without these rows, since another version of the decoder may
    take them: every extraction reports its own.
    """
    report = read_quarantine(manifest)
    known = set(report.column("path").to_pylist())
    new = {item.path: item for item in found if item.path not in known}
    if not new:
        return
    rows = [
        {
            "path": item.path,
            "reason": Reason.UNDECODABLE.value,
            "detail": item.detail,
            "label": "",
            "sha256": item.sha256,
            "size": -1,
            "version": "",
        }
        for item in new.values()
    ]
    merged = pa.concat_tables([report, pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)]).sort_by("path")
    publish(merged.to_batches(), QUARANTINE_SCHEMA, filesystem=manifest.filesystem, path=manifest.quarantine_path)
