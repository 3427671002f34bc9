"""What the state remembers of the last retraining: the next is due in time, and an interrupted one at once."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from registry.state import State

# How long after the beginning of the last one the next is due.
EVERY = {"weekly": timedelta(days=7), "on-drift": timedelta(days=1)}
FAILED = "failed"
_AFTER_FAILURE = timedelta(days=1)
_PATH = ("retraining", "last.json")


@dataclass(frozen=True, kw_only=True)
class LastRetraining:
    """One retraining: when it began and ended, in ISO 8601, and what it came to; not ended, it was interrupted."""

    begun: str
    why: str
    ended: str = ""
    outcome: str = ""


def last_retraining(state: State) -> LastRetraining | None:
    """The last one that began; None where there was none, or what is kept cannot be read."""
    path = state.path(*_PATH)
    try:
        return LastRetraining(**json.loads(state.read(path))) if state.exists(path) else None
    except (ValueError, TypeError):
        return None


def note_begin(state: State, *, why: str) -> LastRetraining:
    """Remember that one begins; one that was interrupted is the same that goes on."""
    before = last_retraining(state)
    if before and not before.ended and before.why == why:
        return before
    begun = LastRetraining(begun=_now(), why=why)
    _write(state, begun)
    return begun


def note_end(state: State, begun: LastRetraining, outcome: str) -> None:
    """Remember what it came to."""
    _write(state, replace(begun, ended=_now(), outcome=outcome))


def next_due(last: LastRetraining | None, why: str) -> datetime:
    """When the next one should begin: at once if there was none or the last was interrupted, a day after one failed."""
    if last is None or not last.ended:
        return datetime.min.replace(tzinfo=UTC)
    after = min(EVERY[why], _AFTER_FAILURE) if last.outcome == FAILED else EVERY[why]
    return datetime.fromisoformat(last.begun) + after


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(state: State, what: LastRetraining) -> None:
    state.write(state.path(*_PATH), json.dumps(asdict(what)).encode())
