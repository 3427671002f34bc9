"""Production: which version it is, by a recorded change, and the way back."""

from collections.abc import Sequence
from typing import Literal, cast

from registry.errors import ProductionMovedError, PromotionError
from registry.model.versions import ModelVersion, aliased, version_of
from registry.process.identity import whoever
from registry.production.history import Change, History
from registry.production.journal import Journal
from registry.production.record_store import RecordStore
from registry.settings import Settings


def history(settings: Settings) -> list[Change]:
    """Every recorded change of Production, oldest first."""
    return RecordStore(settings).read().changes


def promote(
    settings: Settings,
    version: ModelVersion,
    *,
    why: str,
    metrics: dict[str, float] | None = None,
    judged_against: int | Literal["any"] | None = "any",
) -> Change | None:
    """Make a version Production; None if it is already; alias and legacy stage follow in any case.

    Raises
    ------
    ProductionMovedError
        If Production is no longer the version that this one was judged against (None: there was none).
    HistoryError
        If the history is damaged, or newer than MLflow.
    """

    def draft(now: History) -> Change | None:
        found = _current(settings, now)
        if found == version.version and (now.head is None or now.head.digest in ("", version.digest)):
            return None
        if judged_against not in ("any", found):
            raise ProductionMovedError(
                f"Production is {found}, {version} was judged against {judged_against}; judge it again."
            )
        return _change(settings, now, version, why=why, metrics=metrics or {})

    return Journal(settings).append(draft)


def rollback(settings: Settings, *, why: str) -> Change:
    """Undo the last promotion that has not been undone: the version that it replaced becomes Production again.

    Raises
    ------
    PromotionError
        If nothing was replaced yet, or no record says how what is there became Production.
    HistoryError
        If the history is damaged, or newer than MLflow.
    """

    def draft(now: History) -> Change:
        current = _current(settings, now)
        if current is None:
            raise PromotionError(
                f"No version of {settings.model_name} is in Production, so there is nothing to roll back."
            )
        undone = _undone(settings, now, current)
        if undone.from_version is None:
            raise PromotionError(
                f"{settings.model_name} version {current} replaced no version, so there is none to go back to."
            )
        return _undo(settings, now, undone, why=why)

    return cast(Change, Journal(settings).append(draft))  # the draft above always makes one


def take_back(settings: Settings, version: ModelVersion, *, why: str) -> Change:
    """Undo the promotion of a version that serving refuses; the first one leaves nothing in Production, as before it.

    Raises
    ------
    ProductionMovedError
        If the version is not what is in Production any more.
    PromotionError
        If no record says how it became Production.
    HistoryError
        If the history is damaged, or newer than MLflow.
    """

    def draft(now: History) -> Change:
        current = _current(settings, now)
        if current != version.version:
            raise ProductionMovedError(f"Production is {current} by now, and no longer {version}.")
        return _undo(settings, now, _undone(settings, now, current), why=why)

    return cast(Change, Journal(settings).append(draft))  # the draft above always makes one


def _current(settings: Settings, now: History) -> int | None:
    """What is in Production: the history says it, and where there is none the alias does."""
    if now.head:
        return now.head.to_version
    alias = aliased(settings)
    return alias.version if alias else None


def _undone(settings: Settings, now: History, current: int) -> Change:
    """The promotion that a rollback of what is in Production undoes; raises PromotionError."""
    standing = _standing(now.changes, current)
    if not standing or standing[-1].to_version != current:
        raise PromotionError(
            f"No record says how {settings.model_name} version {current} became Production; name the version to go to "
            "with ray_jobs.promote."
        )
    return standing[-1]


def _undo(settings: Settings, now: History, undone: Change, *, why: str) -> Change:
    target = version_of(settings, undone.from_version) if undone.from_version else None
    return _change(settings, now, target, why=why, metrics={}, undoes=undone.number)


def _standing(changes: Sequence[Change], current: int) -> list[Change]:
    """The promotions that took effect and that no rollback has undone, oldest first.

    Before there was a chain, a record could be of a change that never happened: what came next did not start from it.
    """
    followed_from = [change.from_version for change in changes[1:]] + [current] * bool(changes)
    made = [
        change
        for change, start in zip(changes, followed_from, strict=True)
        if change.to_version == start and change.kind in ("promotion", "rollback")
    ]
    undone = {change.undoes for change in made}
    return [change for change in made if change.undoes is None and change.number not in undone]


def _change(
    settings: Settings,
    now: History,
    target: ModelVersion | None,
    *,
    why: str,
    metrics: dict[str, float],
    undoes: int | None = None,
) -> Change:
    """A change whose place in the history is not known yet; it ends a rollout, which was a comparison with what was."""
    rollout = now.rollout
    return Change(
        number=0,
        when="",
        who=whoever(settings),
        from_version=_current(settings, now),
        to_version=target.version if target else None,
        digest=target.digest if target else "",
        why=why,
        metrics=metrics,
        undoes=undoes,
        kind="promotion" if undoes is None else "rollback",
        ends=rollout.number if rollout else None,
    )
