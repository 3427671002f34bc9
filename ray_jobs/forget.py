"""Forget what is kept of predictions: `python -m ray_jobs.forget --request ID | --before DATE`.

It removes records, what people said, and the kept batches of unfinished scorings, and says what it cannot reach.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ray_jobs.runtime.cli import run_job
from ray_jobs.runtime.progress import write_line
from registry.records.forgetting import Forgotten, forget_before, forget_prediction
from registry.records.prediction_ids import parse_id
from registry.records.predictions import FILE_SPAN
from registry.settings import Settings
from registry.state import open_state

_LOOK_S = 12.0  # longer than a replica needs for a write
_LOOKS = 10
_WRITTEN_WITHIN = timedelta(seconds=90)  # an answer, by a replica whose store is slow
_OUT_OF_REACH = (
    "backups: they keep it until they are removed (ray_jobs.backup --keep N)",
    "a model that was recalibrated with it: its two numbers of the calibration stay what they are (ray_jobs.rollback)",
    "logs: they have the request's id, time and route, and no picture and no answer, for as long as they are kept",
    "a replica's memory: its last 5,000 answers, without features, until it next writes or stops",
)
_VERSIONED = "older versions of the objects, if the bucket keeps them: its lifecycle rule removes them"


def main() -> None:
    """The job; it needs no Ray."""
    run_job(
        _job,
        module="ray_jobs.forget",
        description="Remove what is kept of predictions, and say what was removed and what cannot be reached.",
        data=False,
        uses=("state", "state to write"),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--request", metavar="ID", help="one answer, by its `id`")
    what.add_argument("--before", metavar="DATE", type=_date, help="all made before a day or time in UTC: 2026-11-29")


def _date(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; it takes 2026-11-29 or 2026-11-29T08:00:00") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if found > datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text} is in the future; name a day until which all is to be forgotten")
    return found


def _job(settings: Settings, options: argparse.Namespace) -> None:
    state = open_state(settings.state_uri)
    if options.before:
        removed = forget(lambda: forget_before(state, options.before), youngest=options.before)
    else:
        known = parse_id(options.request)
        youngest = known.time if known else datetime.min.replace(tzinfo=UTC)
        removed = forget(lambda: forget_prediction(state, options.request), youngest=youngest, most=1)
    print(f"removed  {removed}")
    if removed == Forgotten():
        print("         nothing was kept of it; the `id` of an answer is what counts, not its request_id")
    out_of_reach = _OUT_OF_REACH + ((_VERSIONED,) if settings.state_uri.startswith("s3:") else ())
    print("\n".join(f"{'not here' if index == 0 else '':8} {line}" for index, line in enumerate(out_of_reach)))


def forget(
    once: Callable[[], Forgotten],
    *,
    youngest: datetime,
    most: int = sys.maxsize,
    pause: Callable[[float], None] = time.sleep,
) -> Forgotten:
    """Remove, and look again until it stays away: a replica may be writing the same file at this moment.

    `youngest` is when the newest of the predictions was made. A replica writes no file that is older than an hour, and
    has written an answer within `_WRITTEN_WITHIN`. `most` is how many records there can be, if that is known.
    """

    def is_older(than: timedelta) -> bool:
        return datetime.now(UTC) - youngest > than

    total = once()
    if is_older(FILE_SPAN + timedelta(minutes=5)) or (total == Forgotten() and is_older(_WRITTEN_WITHIN)):
        return total
    write_line("looking again for a moment, because a server may still write what is as new as this")
    for _ in range(_LOOKS):
        pause(_LOOK_S)
        again = once()
        if not again.records and (is_older(_WRITTEN_WITHIN) or total.records == most):
            break
        records = min(total.records + again.records, most)  # what comes back has been counted
        total = Forgotten(records=records, feedback=total.feedback + again.feedback, batches=total.batches)
    return total


if __name__ == "__main__":
    main()
