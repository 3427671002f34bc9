"""Ids of predictions: UUIDs of version 7 (RFC 9562), which sort by time and name the process that made them.

The time and the process lead a look-up to the one file that can hold a prediction's record.
"""

import secrets
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTER_BITS, _WRITER_BITS, _RANDOM_BITS = 12, 32, 30


@dataclass(frozen=True, kw_only=True)
class ParsedId:
    """What an id carries: its time, to the millisecond, and the process that made it."""

    time: datetime
    writer: int


class PredictionIds:
    """Makes the ids of one process, each greater than the one before, even if the clock is set back."""

    def __init__(self) -> None:
        self._writer = secrets.randbits(_WRITER_BITS)
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> str:
        """A new id."""
        with self._lock:
            # Milliseconds and a counter in one number: a full counter carries over into the next millisecond.
            self._last = max(self._last + 1, time.time_ns() // 1_000_000 << _COUNTER_BITS)
            now = self._last
        milliseconds, counter = now >> _COUNTER_BITS, now & (2**_COUNTER_BITS - 1)
        tail = self._writer << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        return str(uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail))


def parse_id(prediction_id: str) -> ParsedId | None:
    """What an id carries; None for one of another form, as those were that older versions took from the client.

    >>> parse_id("019ad0f0-6f00-7001-8000-00004b9aca00").time.isoformat(timespec="milliseconds")
    '2025-11-29T18:46:49.344+00:00'
    >>> parse_id("request-1.0") is None
    True
    """
    try:
        parsed = uuid.UUID(prediction_id)
    except ValueError:
        return None
    if parsed.version != 7 or str(parsed) != prediction_id:
        return None
    milliseconds, writer = parsed.int >> 80, parsed.int >> _RANDOM_BITS & (2**_WRITER_BITS - 1)
    try:
        return ParsedId(time=_EPOCH + timedelta(milliseconds=milliseconds), writer=writer)
    except OverflowError:  # beyond the year 9999
        return None
