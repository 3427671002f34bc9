"""Remove what is kept of predictions: records, feedback, and the answers that an unfinished batch scoring keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileType

from registry.records.feedback import forget_feedback, read_feedback
from registry.records.predictions import candidates_of, files, rewrite
from registry.state import State

SCORES = "scores"  # below it, `ray_jobs.scoring` keeps the batches of a job that has not ended


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """How much was removed of each kind."""

    records: int = 0
    feedback: int = 0
    batches: int = 0

    def __str__(self) -> str:
        return (
            f"{self.records} records of predictions, {self.feedback} entries of feedback on them, "
            f"{self.batches} batches of an unfinished scoring"
        )


def forget_prediction(state: State, prediction_id: str) -> Forgotten:
    """Remove the record of a prediction, and what was said about it; what is there twice is removed twice."""
    removed = 0
    for path in candidates_of(state, prediction_id):
        removed += _remove(state, path, lambda table: pc.equal(table.column("id"), prediction_id))
    return Forgotten(records=removed, feedback=int(forget_feedback(state, prediction_id)))


def forget_before(state: State, when: datetime) -> Forgotten:
    """Remove all that is kept of predictions made before a time."""
    bound = pa.scalar(when, pa.timestamp("us", "UTC"))
    last = state.path("predictions/records", when.astimezone(UTC).strftime("%Y-%m-%d"), "~")
    records = 0
    for info in files(state):
        if info.path <= last:
            records += _remove(state, info.path, lambda table: pc.less(table.column("time"), bound))
    judged = [item.prediction_id for item in read_feedback(state) if item.predicted_at < when]
    found = state.filesystem.get_file_info(FileSelector(state.path(SCORES), recursive=True, allow_not_found=True))
    old = [info.path for info in found if info.type == FileType.File and (info.mtime_ns or 0) < when.timestamp() * 1e9]
    for path in old:
        state.filesystem.delete_file(path)
    feedback = sum(forget_feedback(state, prediction_id) for prediction_id in judged)
    return Forgotten(records=records, feedback=feedback, batches=len(old))


def _remove(state: State, path: str, chosen: Callable[[pa.Table], pa.ChunkedArray]) -> int:
    """Remove rows of a file; one in which none is left goes. If a replica adds rows meanwhile, it is read again."""
    while True:
        found = state.filesystem.get_file_info(path)
        try:
            with state.filesystem.open_input_file(path) as file:
                table = pq.read_table(file)
        except FileNotFoundError:  # pruned meanwhile
            return 0
        going = np.asarray(chosen(table))
        if not going.any():
            return 0
        now = state.filesystem.get_file_info(path)
        if (now.size, now.mtime_ns) != (found.size, found.mtime_ns):
            continue
        if going.all():
            state.filesystem.delete_file(path)
        else:
            rewrite(state, path, table.filter(~going))
        return int(going.sum())
