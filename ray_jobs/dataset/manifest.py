"""The manifest: the pictures a dataset may use, one row each, in a Parquet file sorted by content."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem, FileType

from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import DatasetError
from ray_jobs.dataset.layout import Label
from ray_jobs.dataset.parquet import read_batches
from registry.state import write_atomically

SCHEMA = pa.schema(
    [
        pa.field(name, pa.int64() if name == "size" else pa.string(), nullable=False)
        for name in ("path", "label", "patient", "role", "sha256", "size", "version")
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field(name, pa.int64() if name == "size" else pa.string(), nullable=False)
        for name in ("path", "reason", "detail", "label", "sha256", "size", "version")
    ]
)

ROW_GROUP = (
    8192  # what a file says of its groups is in memory while it is read: of a million rows, a tenth of a MB each
)
BATCH = 1024
SHARD = 1024  # X-rays: seconds of work, so that little is lost with a worker, and 50 MB of features
_SUMMARY = b"hm-mlflow.dataset"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest that stands in a Parquet file, sorted by sha256, each sha256 once.

    ``digest`` is a sha256 over the sorted (sha256, label, patient, role) of all rows: the same for the same data under
    another address or in another order. ``pictures`` and ``patients`` count by side and label, such as
    ``{"train": {"NORMAL": 1072, …}, "held-out": {…}, "test": {…}}``; ``quarantined`` counts by reason what was left
    out. ``hashed`` is how many entries this build read, 0 for a manifest that was only opened.
    """

    filesystem: FileSystem
    path: str
    uri: str
    digest: str
    rows: int
    pictures: Mapping[str, Mapping[str, int]]
    patients: Mapping[str, Mapping[str, int]]
    quarantined: Mapping[str, int]
    hashed: int = field(default=0, compare=False)

    @property
    def quarantine_path(self) -> str:
        """The Parquet report of what was left out, and why (see :mod:`ray_jobs.dataset.quarantine`)."""
        return quarantine_path_of(self.path)

    @property
    def digits(self) -> int:
        """How many hex digits of sha256 a shard's X-rays share: so many that some SHARD of them are in it at most."""
        return digits_for(self.rows)

    def count_of(self, label: Label) -> tuple[int, int]:
        """How many X-rays of how many patients have a label, on all sides together."""
        pictures, patients = (sum(side[label] for side in sides.values()) for sides in (self.pictures, self.patients))
        return pictures, patients

    @property
    def left_out(self) -> str:
        """What was quarantined, as counts with their reasons; empty for nothing."""
        return ", ".join(f"{count} {reason}" for reason, count in self.quarantined.items())

    def batches(self, rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most ``rows`` at a time; only those are in memory.

        Raises
        ------
        DatasetError
            If another job has built the manifest again from other data meanwhile.
        """
        return read_batches(self.filesystem, self.path, rows, check=self._check)

    def shards(self) -> Iterator[tuple[str, pa.Table]]:
        """``(prefix, rows)`` for all the first ``digits`` of sha256 that occur, in order.

        Only one shard and one row group are in memory at a time.
        """
        prefix, parts, digits = "", list[pa.Table](), self.digits
        for batch in self.batches():
            heads = pc.utf8_slice_codeunits(batch.column("sha256"), 0, digits)
            runs = pc.run_end_encode(heads)
            start = 0
            for head, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                if head != prefix and parts:
                    yield prefix, pa.concat_tables(parts)
                    parts = []
                prefix = head
                parts.append(pa.Table.from_batches([batch.slice(start, end - start)]))
                start = end
        if parts:
            yield prefix, pa.concat_tables(parts)

    def table(self, *columns: str) -> pa.Table:
        """All rows at once, of the named columns or of all: for a training matrix, which is in memory as well.

        Raises
        ------
        DatasetError
            If another job has built the manifest again from other data meanwhile.
        """
        with self.filesystem.open_input_file(self.path) as file, pq.ParquetFile(file) as parquet:
            self._check(parquet.metadata)
            return parquet.read(columns=list(columns) or None)

    def keep(self) -> None:
        """Keep a copy beside what is built for the same address later: it says what a version was trained on.

        Raises
        ------
        DatasetError
            If another job has built the manifest again from other data meanwhile.
        """
        place = _kept(self.path, self.digest)
        if self.filesystem.get_file_info(place).type == FileType.File:
            return
        with tempfile.TemporaryFile() as copy:
            with self.filesystem.open_input_file(self.path) as file:
                self._check(pq.read_metadata(file))
                file.seek(0)
                shutil.copyfileobj(file, copy)
            copy.seek(0)
            write_atomically(self.filesystem, place, cast(BinaryIO, copy))

    def _check(self, metadata: pq.FileMetaData) -> None:
        # Rows are named by their places, so those of another manifest would pass for these.
        if _summary(metadata)["digest"] != self.digest:
            raise DatasetError(
                f"{self.uri} has changed, and another job has taken stock of it meanwhile; run this job again, and "
                "only what is new is read"
            )


def digits_for(rows: int) -> int:
    """How many hex digits of sha256 the X-rays of a shard share, for a manifest of so many rows."""
    digits = 2
    while rows > SHARD * 16**digits:
        digits += 1
    return digits


def images_of(rows: pa.Table | pa.RecordBatch) -> list[tuple[str, str]]:
    """Path and sha256 of each row."""
    return list(zip(rows.column("path").to_pylist(), rows.column("sha256").to_pylist(), strict=True))


def manifest_path(base: str, uri: str) -> str:
    """Where the manifest of ``uri`` stands below the state folder ``base``."""
    return f"{base.rstrip('/')}/{sha256(uri.encode()).hexdigest()[:16]}/manifest.parquet"


def quarantine_path_of(manifest: str) -> str:
    """The path of the quarantine report beside a manifest."""
    return f"{manifest.rpartition('/')[0]}/quarantine.parquet"


def _kept(manifest: str, digest: str) -> str:
    return f"{manifest.rpartition('/')[0]}/{digest[:16]}.parquet"


def load_manifest(
    source: Source | str, *, filesystem: FileSystem, base: str, digest: str | None = None
) -> Manifest | None:
    """The manifest that was last built for a source or its address, or None; the one of a ``digest`` if it was kept.

    Also None for a file that is no manifest of that address: it is only ever a cache, so it is built again.
    """
    uri = source if isinstance(source, str) else source.uri
    path = manifest_path(base, uri)
    if digest and filesystem.get_file_info(_kept(path, digest)).type == FileType.File:
        path = _kept(path, digest)
    if filesystem.get_file_info(path).type != FileType.File:
        return None
    try:
        with filesystem.open_input_file(path) as file:
            metadata = pq.read_metadata(file)
        summary = _summary(metadata)
        if summary["uri"] != uri or metadata.schema.to_arrow_schema().names != SCHEMA.names:
            return None
        return Manifest(filesystem=filesystem, path=path, rows=metadata.num_rows, **summary)
    except (pa.ArrowInvalid, KeyError, TypeError, json.JSONDecodeError):
        return None


def _summary(metadata: pq.FileMetaData) -> dict[str, Any]:
    return dict(json.loads((metadata.metadata or {})[_SUMMARY]))


def summary_metadata(manifest: Manifest) -> dict[bytes, bytes]:
    """What :func:`load_manifest` needs besides the rows, as metadata of the Parquet file."""
    summary = {
        "uri": manifest.uri,
        "digest": manifest.digest,
        "pictures": manifest.pictures,
        "patients": manifest.patients,
        "quarantined": manifest.quarantined,
    }
    return {_SUMMARY: json.dumps(summary, sort_keys=True).encode()}
