"""Production: which version the alias names, every change of it on record, and the way back."""

import getpass
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

from filelock import FileLock

from registry.errors import ProductionMovedError, PromotionError
from registry.settings import Settings
from registry.state import local_folder
from registry.versions import ALIAS, ModelVersion, client, production, version_of

_RECORD = "promotion."


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of Production: `from_version` is None for the first, `undoes` the number of the change rolled back."""

    number: int
    when: str
    who: str
    from_version: int | None
    to_version: int
    why: str
    metrics: dict[str, float] = field(default_factory=dict)
    undoes: int | None = None


def history(settings: Settings) -> list[Change]:
    """Every recorded change of Production, oldest first."""
    tags = client(settings).get_registered_model(settings.model_name).tags
    records = [json.loads(value) for name, value in tags.items() if name.startswith(_RECORD)]
    return sorted((Change(**record) for record in records), key=lambda change: change.number)


def promote(
    settings: Settings,
    version: ModelVersion,
    *,
    why: str,
    metrics: dict[str, float] | None = None,
    judged_against: int | Literal["any"] | None = "any",
) -> Change | None:
    """Make a version Production; None if it is already; the legacy stage is set in any case.

    Raises
    ------
    ProductionMovedError
        If Production is no longer the version that this one was judged against (None: there was none).
    """
    with _alone(settings):
        current = production(settings)
        found = current.version if current else None
        if judged_against not in ("any", found):
            raise ProductionMovedError(
                f"Production is {found}, {version} was judged against {judged_against}; judge it again."
            )
        if current and current.version == version.version:
            _point(settings, version)  # a job that died right after the alias moved left the legacy stage behind
            return None
        return _change(settings, current, version, why=why, metrics=metrics or {})


def rollback(settings: Settings, *, why: str) -> Change:
    """Undo the last promotion that has not been undone: the version that it replaced becomes Production again.

    Raises
    ------
    PromotionError
        If nothing was replaced yet, or the alias was moved by something that kept no record.
    """
    with _alone(settings):
        current = production(settings)
        if current is None:
            raise PromotionError(
                f"No version of {settings.model_name} is in Production, so there is nothing to roll back."
            )
        standing = _standing(history(settings), current.version)
        if not standing or standing[-1].to_version != current.version:
            raise PromotionError(
                f"No record says how {current} became Production; name the version to go to with ray_jobs.promote."
            )
        undone = standing[-1]
        if undone.from_version is None:
            raise PromotionError(f"{current} replaced no version, so there is none to go back to.")
        target = version_of(settings, undone.from_version)
        return _change(settings, current, target, why=why, metrics={}, undoes=undone.number)


def _standing(changes: list[Change], current: int) -> list[Change]:
    """The promotions that took effect and that no rollback has undone, oldest first.

    A record is written before its change, so a process that died in between left one whose change never happened: what
    came next did not start from it.
    """
    followed_from = [change.from_version for change in changes[1:]] + [current]
    made = [change for change, start in zip(changes, followed_from, strict=True) if change.to_version == start]
    undone = {change.undoes for change in made}
    return [change for change in made if change.undoes is None and change.number not in undone]


def _change(
    settings: Settings,
    current: ModelVersion | None,
    target: ModelVersion,
    *,
    why: str,
    metrics: dict[str, float],
    undoes: int | None = None,
) -> Change:
    """Record a change, then make it, so that no change is without its record."""
    change = Change(
        number=len(history(settings)) + 1,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        who=_user(),
        from_version=current.version if current else None,
        to_version=target.version,
        why=why,
        metrics=metrics,
        undoes=undoes,
    )
    record = json.dumps(asdict(change))
    client(settings).set_registered_model_tag(settings.model_name, f"{_RECORD}{change.number:06d}", record)
    _point(settings, target)
    return change


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return f"uid {os.getuid()}"


def _point(settings: Settings, version: ModelVersion) -> None:
    mlflow_client = client(settings)
    mlflow_client.set_registered_model_alias(settings.model_name, ALIAS, str(version.version))
    with warnings.catch_warnings():
        # Stages are deprecated; this one is kept for people who look for it where older guides say.
        warnings.simplefilter("ignore", FutureWarning)
        mlflow_client.transition_model_version_stage(
            settings.model_name, str(version.version), "Production", archive_existing_versions=True
        )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Let only one process of this machine change Production at a time; MLflow itself has no compare-and-set."""
    with FileLock(local_folder(settings.state_uri) / "promotion.lock", timeout=60):
        yield
