"""The feature cache: Parquet files keyed by image content and spec, the same bytes however they came about."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileType

from features.extract import extract_views
from features.reading.decode import READING_VERSION
from features.reading.errors import ImageError
from features.spec import FeatureSpec
from ray_jobs.dataset.ahead import read_ahead
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.parquet import publish
from registry.errors import FixableError
from registry.state import State

_FINGERPRINT = b"hm-mlflow.spec"
_READING = b"hm-mlflow.reading"

Shard = dict[str, tuple[str, np.ndarray | None]]
"""By an image's sha256, why it has no features or "", and its features, (spec.rows.count, D)."""


class CacheError(FixableError):
    """A file of the feature cache is missing, or is not what this job needs."""


@dataclass(frozen=True, kw_only=True)
class FailedImage:
    """An image that gave no features, and why."""

    path: str
    sha256: str
    detail: str


def shard_path(state: State, spec: FeatureSpec, prefix: str) -> str:
    """The file of all images whose sha256 begins with some hex digits (see `Manifest.digits`)."""
    return state.path("features", spec.fingerprint[:16], f"{prefix}.parquet")


def cached(state: State, spec: FeatureSpec, prefix: str) -> dict[str, str]:
    """Every image of a shard that the cache has an answer for: its sha256, and why it has no features or nothing.

    What an older version of the decoder said is no answer, since this one may read the file, or read it differently.
    """
    path = shard_path(state, spec, prefix)
    if state.filesystem.get_file_info(path).type != FileType.File:
        return {}
    table = _read(state, spec, path, ["sha256", "error"])
    if not _read_as_today(table):
        return {}
    return dict(zip(table.column("sha256").to_pylist(), table.column("error").to_pylist(), strict=True))


def stored_prefixes(state: State, spec: FeatureSpec) -> frozenset[str]:
    """The prefixes of all shards that the cache has a file of."""
    folder = FileSelector(shard_path(state, spec, "").rpartition("/")[0], allow_not_found=True)
    names = (info.base_name for info in state.filesystem.get_file_info(folder))
    return frozenset(name.removesuffix(".parquet") for name in names if name.endswith(".parquet"))


def extract_shard(
    source: Source, state: State, spec: FeatureSpec, prefix: str, images: Iterable[tuple[str, str]]
) -> list[FailedImage]:
    """Extract images, given as (path, sha256) of one shard, into the cache beside what it has; return what failed.

    Rows are sorted by sha256, so the file's bytes depend on which images it holds and on nothing else. It is replaced
    whole or not at all: a worker that dies leaves what was there. The next images are read while one is described.
    """
    rows: Shard = {}
    failures, images = list[FailedImage](), list(images)
    for (path, sha256), data in zip(images, read_ahead(source, (path for path, _ in images)), strict=True):
        try:
            if isinstance(data, EntryError):
                raise data
            check_as_listed(data, sha256)
            rows[sha256] = ("", extract_views(data, spec))
        except EntryError as error:
            failures.append(FailedImage(path=path, sha256=sha256, detail=str(error)))
        except ImageError as error:
            rows[sha256] = (str(error), None)
            failures.append(FailedImage(path=path, sha256=sha256, detail=str(error)))
    add_rows(state, spec, prefix, rows)
    return failures


def check_as_listed(data: bytes, sha256: str, *, name: str = "the file") -> None:
    """Raise EntryError for a file whose bytes are no longer those that the manifest has."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EntryError(f"{name} changed after it was listed; run the job again to take it in")


def take_over(
    state: State, spec: FeatureSpec, prefix: str, images: Iterable[tuple[str, str]], others: Iterable[str]
) -> tuple[list[tuple[str, str]], list[FailedImage]]:
    """Copy what shards of other lengths of prefix have of a shard's images; return what is left, and what failed there.

    A dataset that grows beyond a limit has smaller shards from then on. What was extracted before is not lost to it.
    """
    images = list(images)
    found: Shard = {}
    for other in others:
        found |= _rows_of(state, spec, other)
    taken = {sha256: found[sha256] for _, sha256 in images if sha256 in found}
    if taken:
        add_rows(state, spec, prefix, taken)
    failures = [
        FailedImage(path=path, sha256=sha256, detail=taken[sha256][0])
        for path, sha256 in images
        if sha256 in taken and taken[sha256][0]
    ]
    return [image for image in images if image[1] not in taken], failures


def add_rows(state: State, spec: FeatureSpec, prefix: str, rows: Shard) -> None:
    """Write a shard with rows and whatever else it has."""
    merged = _rows_of(state, spec, prefix) | rows
    publish([_batch(merged, spec)], _schema(spec), filesystem=state.filesystem, path=shard_path(state, spec, prefix))


def _rows_of(state: State, spec: FeatureSpec, prefix: str) -> Shard:
    """What a shard has that this decoder would say too."""
    path = shard_path(state, spec, prefix)
    if state.filesystem.get_file_info(path).type != FileType.File:
        return {}
    table = _read(state, spec, path, None)
    if not _read_as_today(table):
        return {}
    columns = (table.column(name).to_pylist() for name in ("sha256", "error"))
    known = zip(*columns, _matrix(table, spec), strict=True)
    return {sha256: (reason, None if reason else vectors) for sha256, reason, vectors in known}


def load_shard(
    state: State, spec: FeatureSpec, prefix: str, images: Iterable[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Features of those of the images, given as (path, sha256) of one shard, that have any.

    Returns float32 of shape (n, spec.rows.count, D), an image's own features first and then those of its views, and
    bool of shape (N,) that says which of the N images those n are.

    Raises
    ------
    CacheError
        If the file is missing, or holds features of another spec.
    """
    path = shard_path(state, spec, prefix)
    if state.filesystem.get_file_info(path).type != FileType.File:
        raise CacheError(f"{path} is missing, so its images have no features; run ray_jobs.extract_features again.")
    table = _read(state, spec, path, None)
    errors = table.column("error").to_pylist()
    position = {sha256: index for index, sha256 in enumerate(table.column("sha256").to_pylist()) if not errors[index]}
    found = np.array([position.get(sha256, -1) for _, sha256 in images])
    return _matrix(table, spec)[found[found >= 0]], found >= 0


def _schema(spec: FeatureSpec) -> pa.Schema:
    columns = [
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("features", pa.list_(pa.float32(), int(np.prod(_shape(spec)))), nullable=False),
    ]
    metadata = {_FINGERPRINT: spec.fingerprint.encode(), _READING: str(READING_VERSION).encode()}
    return pa.schema(columns, metadata=metadata)


def _read_as_today(table: pa.Table) -> bool:
    return (table.schema.metadata or {}).get(_READING) == str(READING_VERSION).encode()


def _batch(rows: Shard, spec: FeatureSpec) -> pa.RecordBatch:
    ordered = sorted(rows.items())
    # A failure has zeros, which nobody reads: a null in a fixed-size list would not make the file smaller.
    matrix = np.zeros((len(ordered), *_shape(spec)), dtype=np.float32)
    for index, (_, (_, features)) in enumerate(ordered):
        if features is not None:
            matrix[index] = features
    return pa.RecordBatch.from_arrays(
        [
            pa.array([sha256 for sha256, _ in ordered]),
            pa.array([error for _, (error, _) in ordered]),
            pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), int(np.prod(_shape(spec)))),
        ],
        schema=_schema(spec),
    )


def _matrix(table: pa.Table, spec: FeatureSpec) -> np.ndarray:
    values = table.column("features").combine_chunks()
    return np.asarray(values.flatten()).reshape(len(table), *_shape(spec))


def _shape(spec: FeatureSpec) -> tuple[int, int]:
    return spec.rows.count, len(spec.names)


def _read(state: State, spec: FeatureSpec, path: str, columns: list[str] | None) -> pa.Table:
    try:
        with state.filesystem.open_input_file(path) as file, pq.ParquetFile(file) as parquet:
            fingerprint = (parquet.schema_arrow.metadata or {}).get(_FINGERPRINT, b"none").decode()
            if fingerprint != spec.fingerprint:
                raise CacheError(
                    f"{path} holds features of spec {fingerprint[:16]}, this job needs {spec.fingerprint[:16]}; "
                    "remove the file, and it will be extracted again"
                )
            return parquet.read(columns=columns, use_threads=False)
    except pa.ArrowInvalid as error:
        raise CacheError(
            f"{path} is not a feature cache ({error}); remove the file, and it will be extracted again"
        ) from error
