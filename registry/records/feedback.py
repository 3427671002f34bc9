"""People's feedback on predictions: one small file per prediction below STATE_URI; the newest replaces the older."""

import hashlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pyarrow.fs import FileSelector, FileType

from registry.records.predictions import PredictionSummary
from registry.state import State

log = logging.getLogger(__name__)

FOLDER = "predictions/feedback"
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """A person's label for a prediction, with what was predicted; it is kept longer than the prediction's record.

    `sha256` is of the picture's bytes, `digest` of the model's files, `said_by` the name of the API key; each is empty
    where it was not known.
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
    digest: str = ""

    def is_of(self, version: int, digest: str) -> bool:
        """Whether it is about an answer of a version; entries of before digests were kept tell only its number."""
        return self.version == version and self.digest in ("", digest)

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
        digest=prediction.digest,
    )
    fields = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in _fields(feedback)}
    state.write(_path(state, prediction.id), json.dumps(fields).encode())
    return feedback, before


def find_feedback(state: State, prediction_id: str) -> Feedback | None:
    """The feedback on a prediction, or None."""
    return _read(state, _path(state, prediction_id))


def forget_feedback(state: State, prediction_id: str) -> bool:
    """Remove what was said about a prediction; whether there was anything."""
    path = _path(state, prediction_id)
    there = state.exists(path)
    if there:
        state.filesystem.delete_file(path)
    return there


def read_feedback(state: State) -> list[Feedback]:
    """All feedback, oldest first, without what cannot be read."""
    found = state.filesystem.get_file_info(FileSelector(state.path(FOLDER), recursive=True, allow_not_found=True))
    paths = [info.path for info in found if info.type == FileType.File and info.path.endswith(".json")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        entries = [entry for entry in pool.map(lambda path: _read(state, path), paths) if entry]
    return sorted(entries, key=lambda entry: entry.time)


def _fields(feedback: Feedback) -> list[tuple[str, object]]:
    return list(asdict(feedback).items())


def _path(state: State, prediction_id: str) -> str:
    key = hashlib.sha256(prediction_id.encode()).hexdigest()
    return state.path(FOLDER, key[:2], f"{key[:40]}.json")


def _read(state: State, path: str) -> Feedback | None:
    """An entry; None where there is none, or no longer, or what is there is not ours."""
    try:
        fields = json.loads(state.read(path))
        times = {name: datetime.fromisoformat(fields[name]) for name in ("time", "predicted_at")}
        return Feedback(**{**fields, **times})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        log.warning("The feedback in %s cannot be read (%r); it is left out.", path, error)
        return None
