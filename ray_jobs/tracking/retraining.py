"""What the state remembers of the last retraining: the next is due in time, and an interrupted one at once."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from registry.state import State

# How long after the beginning of the last one the next is due.
EVERY = {"weekly": timedelta(days=7), "on-drift": timedelta(days=1)}
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


def is_due(last: LastRetraining | None, why: str, *, now: datetime) -> bool:
    """Whether the next one should begin: there was none, the last one was interrupted, or its time has come."""
    if last is None or not last.ended:
        return True
    return now - datetime.fromisoformat(last.begun) >= EVERY[why]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(state: State, what: LastRetraining) -> None:
    state.write(state.path(*_PATH), json.dumps(asdict(what)).encode())
