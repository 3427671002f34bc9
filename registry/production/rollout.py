"""Shadow and canary: a candidate beside the version in Production, begun and ended by recorded changes.

Any change of Production ends a rollout too, because it compared the candidate with what was there.
"""

import contextlib
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from registry.errors import PromotionError
from registry.model.versions import ModelVersion, client, version_of
from registry.production.approval import check_approval
from registry.production.history import Change, History, Rollout
from registry.production.journal import Journal
from registry.production.record_store import RecordStore
from registry.production.rollout_counts import RolloutCounts
from registry.settings import Settings

End = Literal["ended", "taken back"]


def running_rollout(settings: Settings) -> Change | None:
    """The record of the rollout that nothing on record has ended; its time may be over."""
    return RecordStore(settings).read().rollout


def is_over(rollout: Rollout, now: datetime) -> bool:
    """Whether its time is over."""
    return now >= datetime.fromisoformat(rollout.until)


def takes(record: Change, request_id: str) -> bool:
    """Whether the candidate answers a request: always the same for one id, and for the share of all ids.

    >>> canary = Rollout(version=2, digest="", until="2030-01-01T00:00:00+00:00", share=0.5)
    >>> record = Change(number=1, when="", who="", from_version=1, to_version=1, why="", id="a", rollout=canary)
    >>> [takes(record, name) for name in ("x", "y", "x", "y")]
    [False, True, False, True]
    """
    if not record.rollout or not record.rollout.share:
        return False
    place = hashlib.sha256(f"{record.id} {request_id}".encode()).digest()[:8]
    return int.from_bytes(place, "big") < record.rollout.share * 2**64


def begin_rollout(
    settings: Settings, version: ModelVersion, *, share: float, lasts: timedelta, why: str | None
) -> Change:
    """Begin a shadow (`share` 0) or a canary; one that runs already in the same way is given back as it is.

    A canary needs what a promotion by hand needs: a person's name where approval is required or the version waits.

    Raises
    ------
    PromotionError
        If nothing is in Production, the version is, another one has a rollout, or nobody's name would go on record.
    HistoryError
        If the history is damaged, or newer than MLflow.
    """
    passed = check_approval(settings, version) if share else None
    reason = why or (f"passed: {passed.why}" if passed else "tried by hand")
    kept: list[Change] = []

    def draft(now: History) -> Change | None:
        kept.clear()
        head, running = now.head, now.rollout
        if head is None or head.to_version is None:
            raise PromotionError(
                f"Nothing is in Production to compare {version} with; make it Production with python -m "
                f"ray_jobs.promote {version.version}"
            )
        if head.to_version == version.version:
            raise PromotionError(f"{version} is in Production already; a candidate is another version.")
        if passed and why is None and passed.against != head.to_version:
            raise PromotionError(
                f"Production is {head.to_version}, {version} was judged against {passed.against}. Train again for "
                "that, or begin it all the same, with --why TEXT, which is recorded."
            )
        if running and running.rollout and not is_over(running.rollout, datetime.now(UTC)):
            if running.rollout.version != version.version:
                raise PromotionError(_busy(settings, running))
            if running.rollout.share == share:
                kept.append(running)
                return None
        until = (datetime.now(UTC) + lasts).isoformat(timespec="seconds")
        rollout = Rollout(version=version.version, digest=version.digest, until=until, share=share)
        note = journal.note("canary" if share else "shadow", reason, to=head)
        return replace(note, rollout=rollout, ends=running.number if running else None)

    journal = Journal(settings)
    begun = journal.append(draft)
    return begun or kept[0]


def _busy(settings: Settings, running: Change) -> str:
    rollout = running.rollout
    assert rollout  # noqa: S101  a running one has it
    return (
        f"{settings.model_name} version {rollout.version} is in {running.kind} already, until {rollout.until}, begun "
        f"by {running.who}; one candidate is compared at a time. End it with python -m ray_jobs.promote "
        f"{rollout.version} --end --why TEXT"
    )


def end_rollout(
    settings: Settings, record: Change, *, kind: End, why: str, counts: RolloutCounts | None, by_rule: bool = False
) -> Change | None:
    """Record that a rollout is over, with what was counted; None if something on record has ended it already.

    `by_rule` says that no person decided it: then the name is of whose account recorded it.

    Raises
    ------
    HistoryError
        If the history is damaged, or newer than MLflow.
    MlflowException, OSError
        If MLflow or the state does not answer, or this account may not write.
    """
    journal = Journal(settings)

    def draft(now: History) -> Change | None:
        running = now.rollout
        if now.head is None or running is None or running.id != record.id:
            return None
        note = journal.note(kind, f"{why}. {counts}" if counts else why, to=now.head)
        who = f"the rule, run by {note.who}" if by_rule else note.who
        return replace(note, who=who, ends=running.number, metrics=counts.numbers() if counts else {})

    ended = journal.append(draft)
    if ended and counts and record.rollout:
        log_counts(settings, version_of(settings, record.rollout.version), counts)
    return ended


def ending_of(settings: Settings, record: Change) -> Change | None:
    """The record that ended a rollout; None while it runs."""
    history = RecordStore(settings).read()
    later = [change for change in history.changes if change.number > record.number]
    return next((one for one in later if one.ends == record.number or one.kind in ("promotion", "rollback")), None)


def log_counts(settings: Settings, version: ModelVersion, counts: RolloutCounts) -> None:
    """Put what was counted on the candidate's run; a version without one has nothing to put it on."""
    if not version.run_id:
        return
    now = int(datetime.now(UTC).timestamp() * 1000)
    metrics = [Metric(key=key, value=value, timestamp=now, step=0) for key, value in counts.numbers().items()]
    with contextlib.suppress(MlflowException):  # the run may be deleted; the history has the numbers too
        client(settings).log_batch(version.run_id, metrics=metrics)
