"""A job beside a shadow or a canary: begins it, shows how the two compare, and ends with what is on record.

The rollout is in the history, not in the job: serving follows and ends it whether or not a job watches.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from mlflow.exceptions import MlflowException

from ray_jobs.runtime.progress import write_line
from ray_jobs.tracking.webapp import NotAskableError, WebappClient
from registry.errors import FixableError, PromotionError
from registry.model.versions import ModelVersion
from registry.production.canary_rule import reason_to_take_back
from registry.production.history import Change
from registry.production.rollout import begin_rollout, end_rollout, ending_of, is_over, log_counts, running_rollout
from registry.production.rollout_counts import RolloutCounts, read_counts
from registry.settings import Settings
from registry.state import open_state

LOOK_S = 5.0
_TELL_S = 60.0
# Serving ends a rollout within seconds of its time; only where none runs, or may not write, the job has to.
_PATIENCE = timedelta(seconds=20)


class TakenBackError(FixableError):
    """A rollout was taken back; the message says why."""

    exit_code: ClassVar[int] = 3


def roll_out(
    settings: Settings,
    version: ModelVersion,
    *,
    share: float,
    lasts: timedelta,
    why: str | None,
    look_s: float = LOOK_S,
) -> Change:
    """Begin a rollout, or go on with the one that runs, and stay until a record ends it; that record.

    Raises
    ------
    PromotionError
        If it cannot begin; the message says why.
    TakenBackError
        If it was taken back.
    """
    record = begin_rollout(settings, version, share=share, lasts=lasts, why=why)
    print(
        f"{version}: {record.rollout}. It goes on if this job ends; the same command watches it again, and "
        f"python -m ray_jobs.promote {version.version} --end --why TEXT ends it."
    )
    ended = _watch(settings, version, record, look_s)
    if ended.kind == "taken back":
        raise TakenBackError(f"{version} was taken back: {ended.why}")
    return ended


def stop_rollout(settings: Settings, version: ModelVersion, *, why: str) -> Change:
    """End the rollout of a version by a person's approval; raises PromotionError where it has none."""
    running = running_rollout(settings)
    if running is None or running.rollout is None or running.rollout.version != version.version:
        raise PromotionError(f"{version} is neither in shadow nor in canary, so there is nothing to end.")
    ended = end_rollout(settings, running, kind="ended", why=why, counts=counts_of(settings, running))
    return ended or _last(settings, running)


def counts_of(settings: Settings, record: Change) -> RolloutCounts:
    """What all replicas have counted of a rollout."""
    return read_counts(open_state(settings.state_uri), record.id)


def _last(settings: Settings, record: Change) -> Change:
    ended = ending_of(settings, record)
    if ended is None:
        raise PromotionError(f"Record {record.number} has not ended; run it again.")
    return ended


def _watch(settings: Settings, version: ModelVersion, record: Change, look_s: float) -> Change:
    reported_at = -_TELL_S
    away = ""
    while True:
        try:
            if ended := ending_of(settings, record):
                return ended
            counts = counts_of(settings, record)
            if time.monotonic() - reported_at >= _TELL_S:
                reported_at = time.monotonic()
                _tell(settings, version, record, counts)
            _decide(settings, record, counts)
            away = ""
        except (MlflowException, OSError) as error:  # a day is long: what is away comes back
            if not away:
                away = (str(error).splitlines() or [type(error).__name__])[0]
                write_line(f"rollout: {away}; it is asked again")
        time.sleep(look_s)


def _decide(settings: Settings, record: Change, counts: RolloutCounts) -> None:
    """End what serving has not ended by itself, as where its account may only read."""
    rollout = record.rollout
    assert rollout  # noqa: S101  the record of a rollout has it
    now = datetime.now(UTC)
    if is_over(rollout, now - _PATIENCE):
        end_rollout(settings, record, kind="ended", why="its time is over", counts=counts, by_rule=True)
    elif is_over(rollout, now):
        return
    elif reason := counts.stopped or (reason_to_take_back(counts) if rollout.share else ""):
        end_rollout(settings, record, kind="taken back", why=reason, counts=counts, by_rule=True)


def _tell(settings: Settings, version: ModelVersion, record: Change, counts: RolloutCounts) -> None:
    write_line(f"{record.kind} of {version}, {_replicas(settings, version)}")
    for line in counts.lines():
        write_line(f"  {line}")
    log_counts(settings, version, counts)


def _replicas(settings: Settings, version: ModelVersion) -> str:
    """How many replicas have the candidate, as far as they can be asked."""
    webapp = WebappClient(settings)
    try:
        sights = webapp.look()
    except NotAskableError as error:
        return f"{webapp.url} is not asked: {error}"
    found = [number for sight in sights for number in sight.candidates]
    if not found:
        return f"nothing serves at {webapp.url}; what starts there takes part"
    return f"{found.count(version.version)} of {len(found)} replicas at {webapp.url} have it"
