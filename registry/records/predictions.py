"""The memory of serving: what was predicted and from which features, in Parquet files below STATE_URI; no pictures."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSelector, FileType

from registry.records.prediction_ids import ParsedId, parse_id
from registry.state import State

FOLDER = "predictions/records"
_SPEC = b"hm-mlflow.spec"
FILE_SPAN = timedelta(hours=1)  # between the first and the last prediction of a file
SUMMARY = ("id", "time", "version", "probability", "label", "sha256", "digest")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One answered picture; `features` is float32 of shape (D,) by the spec of that fingerprint.

    `sha256` is of the bytes that were sent, so that whoever has the picture finds it; empty in older records. `aspect`
    is the width of the lungs' box to its height (`features.look.Look`), NaN in older records. `digest` is of the
    model's files: another model, or another registry, has a version of the same number; empty in older records.
    """

    id: str
    time: datetime
    version: int
    probability: float
    label: str
    spec: str
    features: np.ndarray
    sha256: str = ""
    aspect: float = float("nan")
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class PredictionSummary:
    """What a record says without its features."""

    id: str
    time: datetime
    version: int
    probability: float
    label: str
    sha256: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much is remembered: the oldest files go first."""

    days: float = 30.0
    size: int = 2**30


def path_of(state: State, begun: datetime, writer: str) -> str:
    """The file that a writer began at a time; the names in a folder sort by time.

    A writer is known by the id of its file's first prediction, so that an id alone leads to its file.
    """
    return state.path(FOLDER, begun.strftime("%Y-%m-%d"), f"{begun.strftime('%H%M%S.%f')}-{writer}.parquet")


def write(state: State, path: str, records: Sequence[Record]) -> None:
    """Write records of one spec as a file, whole or not at all; written again, it is replaced."""
    spec, width = records[0].spec, len(records[0].features)
    matrix = np.stack([record.features for record in records]).astype(np.float32, copy=False)
    table = pa.table(
        {
            "id": [record.id for record in records],
            "time": pa.array([record.time for record in records], pa.timestamp("us", "UTC")),
            "version": pa.array([record.version for record in records], pa.int64()),
            "probability": pa.array([record.probability for record in records], pa.float64()),
            "label": [record.label for record in records],
            "sha256": [record.sha256 for record in records],
            "digest": [record.digest for record in records],
            "aspect": pa.array([record.aspect for record in records], pa.float64()),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), width),
        }
    ).replace_schema_metadata({_SPEC: spec.encode()})
    rewrite(state, path, table)


def rewrite(state: State, path: str, table: pa.Table) -> None:
    """Write rows as `read` gives them, with their spec among the metadata, in the place of a file."""
    content = io.BytesIO()
    # Floats byte by byte, text by dictionary: as the feature cache keeps them, 0.6 of the size.
    pq.write_table(
        table,
        content,
        compression="zstd",
        use_dictionary=["label", "digest"],
        use_byte_stream_split=["features.list.element"],
    )
    state.write(path, content.getvalue())


def files(state: State) -> list[FileInfo]:
    """Every file of records, oldest first."""
    selector = FileSelector(state.path(FOLDER), recursive=True, allow_not_found=True)
    found = state.filesystem.get_file_info(selector)
    kept = [info for info in found if info.type == FileType.File and info.path.endswith(".parquet")]
    return sorted(kept, key=lambda info: info.path)


def read(state: State, *, since: datetime) -> Iterator[tuple[str, pa.Table]]:
    """(spec fingerprint, rows) of each file that holds any from a time on, in the order of time."""
    # A file is begun at most an hour before its last row; a day's margin costs nothing.
    earliest = state.path(FOLDER, (since - timedelta(days=1)).strftime("%Y-%m-%d"))
    for info in files(state):
        if info.path < earliest:
            continue
        try:
            with state.filesystem.open_input_file(info.path) as file:
                table = pq.read_table(file)
        except FileNotFoundError:  # pruned or forgotten meanwhile
            continue
        recent = table.filter(pc.greater_equal(table.column("time"), pa.scalar(since, pa.timestamp("us", "UTC"))))
        if len(recent):
            yield (table.schema.metadata or {}).get(_SPEC, b"").decode(), recent


def matrix(table: pa.Table) -> np.ndarray:
    """The features of rows, float32 of shape (N, D)."""
    values = table.column("features").combine_chunks()
    return np.asarray(values.flatten(), dtype=np.float32).reshape(len(table), -1)


def made_by(table: pa.Table, version: int, digest: str) -> np.ndarray:
    """Which rows a version gave, bool (N,); files of before digests were kept tell only its number."""
    same = np.asarray(table.column("version")) == version
    if "digest" not in table.column_names:
        return same
    return same & np.isin(table.column("digest").to_pylist(), ["", digest])


def aspects(table: pa.Table) -> np.ndarray:
    """The aspects of rows, (N,); NaN in files of before they were kept."""
    if "aspect" not in table.column_names:
        return np.full(len(table), np.nan)
    return np.asarray(table.column("aspect").to_numpy())


def hashes(table: pa.Table) -> list[str]:
    """The SHA-256 of the picture of each row; empty in files of before they were kept."""
    if "sha256" not in table.column_names:
        return [""] * len(table)
    return [sha256 or "" for sha256 in table.column("sha256").to_pylist()]


def find(state: State, prediction_id: str) -> PredictionSummary | None:
    """What was predicted under an id; None where nothing is kept under it.

    An id of ours leads to the one file that can hold it. Ids of older versions, which came from the client, are looked
    for in every file of those versions.
    """
    for path in candidates_of(state, prediction_id):
        if summary := _find_in(state, path, prediction_id):
            return summary
    return None


def candidates_of(state: State, prediction_id: str) -> list[str]:
    """The files that can hold a prediction, as `find` looks for it; the newest first."""
    known = parse_id(prediction_id)
    if known is not None:
        path = _file_of(state, prediction_id, known)
        return [path] if path else []
    return [info.path for info in reversed(files(state)) if _first_id(info.path) is None]


def ids_in(state: State, path: str) -> set[str]:
    """The ids of the predictions in a file; empty where there is none."""
    try:
        with state.filesystem.open_input_file(path) as file:
            return set(pq.read_table(file, columns=["id"]).column("id").to_pylist())
    except FileNotFoundError:
        return set()


def _file_of(state: State, prediction_id: str, known: ParsedId) -> str | None:
    """The last file that the id's writer began before or with the id."""
    found = ""
    for day in {known.time.date(), (known.time - FILE_SPAN).date()}:
        folder = FileSelector(state.path(FOLDER, day.isoformat()), allow_not_found=True)
        for info in state.filesystem.get_file_info(folder):
            first = _first_id(info.path)
            parsed = parse_id(first) if first else None
            if first and parsed and parsed.writer == known.writer and first <= prediction_id:
                found = max(found, info.path)
    return found or None


def _first_id(path: str) -> str | None:
    """The id of the first prediction in a file, as its name has it; None for a file of an older version."""
    writer = path.rpartition("/")[2].removesuffix(".parquet").partition("-")[2]
    return writer if parse_id(writer) else None


def _find_in(state: State, path: str, prediction_id: str) -> PredictionSummary | None:
    with state.filesystem.open_input_file(path) as file:
        there = pq.read_schema(file).names  # older files lack some
        table = pq.read_table(file, columns=[name for name in SUMMARY if name in there])
    rows = table.filter(pc.equal(table.column("id"), prediction_id)).to_pylist()
    return PredictionSummary(**rows[-1]) if rows else None


def prune(state: State, bounds: Bounds, *, now: datetime | None = None) -> int:
    """Remove files beyond the bounds, oldest first; return how many."""
    oldest = state.path(FOLDER, ((now or datetime.now(UTC)) - timedelta(days=bounds.days)).strftime("%Y-%m-%d"))
    found = files(state)
    excess = sum(info.size for info in found) - bounds.size
    removed = 0
    for info in found:
        if info.path >= oldest and excess <= 0:
            break
        state.filesystem.delete_file(info.path)
        excess -= info.size
        removed += 1
    return removed
