"""What people say of predictions: one small file a judged prediction below STATE_URI, the later word in its place."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pyarrow.fs import FileSelector, FileType

from registry.predictions import PredictionSummary
from registry.state import State

FOLDER = "predictions/feedback"
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """A person's word on a prediction, with what had been predicted: it outlives the prediction's own record."""

    prediction_id: str
    label: str
    time: datetime
    version: int
    predicted: str
    probability: float
    predicted_at: datetime

    @property
    def confirms(self) -> bool:
        """Whether the prediction was right, as the person says."""
        return self.label == self.predicted


def record_feedback(state: State, said: PredictionSummary, label: str) -> tuple[Feedback, Feedback | None]:
    """Keep a person's word on a prediction; return it and the one that it replaces, if any.

    The same word again changes nothing, so that a request may be repeated.
    """
    before = find_feedback(state, said.id)
    if before and before.label == label:
        return before, before
    feedback = Feedback(
        prediction_id=said.id,
        label=label,
        time=datetime.now(UTC),
        version=said.version,
        predicted=said.label,
        probability=said.probability,
        predicted_at=said.time,
    )
    fields = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in _fields(feedback)}
    state.write(_path(state, said.id), json.dumps(fields).encode())
    return feedback, before


def find_feedback(state: State, prediction_id: str) -> Feedback | None:
    """The word on a prediction, if there is one."""
    path = _path(state, prediction_id)
    return _read(state, path) if state.exists(path) else None


def read_feedback(state: State) -> list[Feedback]:
    """All that people said, in the order of time."""
    found = state.filesystem.get_file_info(FileSelector(state.path(FOLDER), recursive=True, allow_not_found=True))
    paths = [info.path for info in found if info.type == FileType.File and info.path.endswith(".json")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sorted(pool.map(lambda path: _read(state, path), paths), key=lambda word: word.time)


def _fields(feedback: Feedback) -> list[tuple[str, object]]:
    return list(asdict(feedback).items())


def _path(state: State, prediction_id: str) -> str:
    key = hashlib.sha256(prediction_id.encode()).hexdigest()
    return state.path(FOLDER, key[:2], f"{key[:40]}.json")


def _read(state: State, path: str) -> Feedback:
    fields = json.loads(state.read(path))
    times = {name: datetime.fromisoformat(fields[name]) for name in ("time", "predicted_at")}
    return Feedback(**{**fields, **times})
