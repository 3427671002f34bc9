"""People's feedback on predictions: one small file per prediction below STATE_URI; the newest replaces the older."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pyarrow.fs import FileSelector, FileType

from registry.records.predictions import PredictionSummary
from registry.state import State

FOLDER = "predictions/feedback"
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """A person's label for a prediction, with what was predicted; it is kept longer than the prediction's record.

    `sha256` is of the picture's bytes, `said_by` the name of the API key; empty where neither was known.
    """

    prediction_id: str
    label: str
    time: datetime
    version: int
    predicted: str
    probability: float
    predicted_at: datetime
    sha256: str = ""
    said_by: str = ""

    @property
    def confirms(self) -> bool:
        """Whether the prediction was right, as the person says."""
        return self.label == self.predicted


def record_feedback(
    state: State, prediction: PredictionSummary, label: str, *, said_by: str = ""
) -> tuple[Feedback, Feedback | None]:
    """Store a person's label for a prediction; return the feedback, and the older one that it replaces, if any.

    Storing the same label again changes nothing, so a request can be repeated.
    """
    before = find_feedback(state, prediction.id)
    if before and before.label == label:
        return before, before
    feedback = Feedback(
        prediction_id=prediction.id,
        label=label,
        time=datetime.now(UTC),
        version=prediction.version,
        predicted=prediction.label,
        probability=prediction.probability,
        predicted_at=prediction.time,
        sha256=prediction.sha256,
        said_by=said_by,
    )
    fields = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in _fields(feedback)}
    state.write(_path(state, prediction.id), json.dumps(fields).encode())
    return feedback, before


def find_feedback(state: State, prediction_id: str) -> Feedback | None:
    """The feedback on a prediction, or None."""
    path = _path(state, prediction_id)
    return _read(state, path) if state.exists(path) else None


def forget_feedback(state: State, prediction_id: str) -> bool:
    """Remove what was said about a prediction; whether there was anything."""
    path = _path(state, prediction_id)
    there = state.exists(path)
    if there:
        state.filesystem.delete_file(path)
    return there


def read_feedback(state: State) -> list[Feedback]:
    """All feedback, oldest first."""
    found = state.filesystem.get_file_info(FileSelector(state.path(FOLDER), recursive=True, allow_not_found=True))
    paths = [info.path for info in found if info.type == FileType.File and info.path.endswith(".json")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sorted(pool.map(lambda path: _read(state, path), paths), key=lambda feedback: feedback.time)


def _fields(feedback: Feedback) -> list[tuple[str, object]]:
    return list(asdict(feedback).items())


def _path(state: State, prediction_id: str) -> str:
    key = hashlib.sha256(prediction_id.encode()).hexdigest()
    return state.path(FOLDER, key[:2], f"{key[:40]}.json")


def _read(state: State, path: str) -> Feedback:
    fields = json.loads(state.read(path))
    times = {name: datetime.fromisoformat(fields[name]) for name in ("time", "predicted_at")}
    return Feedback(**{**fields, **times})
