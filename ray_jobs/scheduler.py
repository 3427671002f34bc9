"""Retrain when it is due: `RETRAIN=weekly python -m ray_jobs.scheduler` looks every few minutes, until it is stopped.

When the last retraining began stands in STATE_URI. So a scheduler that starts again repeats none and misses none, and
goes on with one that was interrupted. On AWS, EventBridge does this.
"""

import argparse
import logging
import time
from datetime import UTC, datetime

from ray_jobs.runtime.cli import positive, run_job
from ray_jobs.runtime.progress import write_line
from ray_jobs.runtime.submit import submit
from ray_jobs.tracking.retraining import last_retraining, next_due
from registry.errors import FixableError, UsageError
from registry.settings import Settings
from registry.state import open_state

log = logging.getLogger(__name__)

_LOOK_S = 600


def look(settings: Settings) -> bool:
    """Retrain if it is due, to its end; whether it was."""
    last = last_retraining(open_state(settings.state_uri))
    if datetime.now(UTC) < next_due(last, settings.retrain):
        return False
    going_on = f", which goes on with the one of {last.begun}" if last and not last.ended else ""
    write_line(f"retraining is due ({settings.retrain}){going_on}")
    submit(settings, "ray_jobs.retrain", "--because", settings.retrain)
    return True


def _when_again(settings: Settings) -> str:
    try:
        due = next_due(last_retraining(open_state(settings.state_uri)), settings.retrain)
    except OSError:
        due = datetime.min.replace(tzinfo=UTC)
    if due <= datetime.now(UTC):
        return "The next look tries again."
    return f"The next one is due at {due:%Y-%m-%d %H:%M} UTC; python -m ray_jobs.retrain begins one now."


def main() -> None:
    """The job; what it starts needs Ray."""
    run_job(
        _job,
        module="ray_jobs.scheduler",
        description="Retrain when RETRAIN says so, until it is stopped.",
        data=False,
        uses=("state", "state to write"),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--every", type=positive, default=_LOOK_S, metavar="S", help="seconds between looks (%(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="look once, and end")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    if settings.retrain == "off":
        raise UsageError("RETRAIN is 'off', so nothing is ever due; it takes weekly or on-drift")
    while True:
        try:
            if not look(settings) and options.once:
                print("no retraining is due")
        except (FixableError, OSError) as error:
            if options.once:
                raise
            log.warning("The retraining did not end well: %s. %s", error, _when_again(settings))
        if options.once:
            return
        time.sleep(options.every)


if __name__ == "__main__":
    main()
