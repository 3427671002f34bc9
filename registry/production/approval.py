"""Versions that passed the gate and wait for a person's approval; tags hold that, so that MLflow's page shows it.

Whoever can write to MLflow can put these tags on a version. They give it nothing: a version becomes Production by a
recorded change, which names who made it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from registry.errors import ProductionMovedError, PromotionError
from registry.model.versions import ModelVersion, client, set_tags, tags_of, version_of
from registry.process.identity import person, whoever
from registry.production.history import Change
from registry.production.promotion import history, promote
from registry.settings import Settings

APPROVAL_TAG = "approval"
WAITING = "waiting"
_PASSED_TAG = "approval.json"


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What the gate said of a version: why it passed, the version that it was compared with (None: none), numbers."""

    why: str
    against: int | None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WaitingVersion:
    """A version that waits, and why it passed."""

    version: ModelVersion
    passed: Passed


def wait_for_approval(settings: Settings, version: ModelVersion, passed: Passed) -> None:
    """Let a version wait for a person's approval."""
    set_tags(settings, version, {_PASSED_TAG: json.dumps(asdict(passed)), APPROVAL_TAG: WAITING})


def candidates(settings: Settings) -> list[WaitingVersion]:
    """Every version that waits, oldest first."""
    waiting = f"name='{settings.model_name}' and tags.{APPROVAL_TAG} = '{WAITING}'"
    numbers = sorted(int(entry.version) for entry in client(settings).search_model_versions(waiting))
    found = (candidate_of(settings, version_of(settings, number)) for number in numbers)
    return [candidate for candidate in found if candidate]


def candidate_of(settings: Settings, version: ModelVersion) -> WaitingVersion | None:
    """A version with why it passed, if it waits; else None."""
    tags = tags_of(settings, version)
    if tags.get(APPROVAL_TAG) != WAITING:
        return None
    try:
        stored: dict[str, Any] = json.loads(tags[_PASSED_TAG])
        return WaitingVersion(version=version, passed=Passed(**stored))
    except (KeyError, TypeError, ValueError):  # whoever put the tags on it was not the gate
        return None


def check_approval(settings: Settings, version: ModelVersion) -> Passed | None:
    """What the gate said of a version that waits, None for one that does not.

    Raises
    ------
    PromotionError
        If a person's approval is needed, because it waits or APPROVAL asks for one, and nobody's name is known.
    """
    candidate = candidate_of(settings, version)
    if (candidate or settings.approval == "required") and not person(settings):
        raise PromotionError(
            f"{version} needs a person's approval, and no name is known here: a container's account names nobody. Give "
            "yours, as in PROMOTED_BY='Ana Souza', or submit the job with ray_jobs.runtime.submit"
        )
    return candidate.passed if candidate else None


def promote_by_hand(
    settings: Settings, version: ModelVersion, *, why: str | None, metrics: Mapping[str, float] | None = None
) -> Change | None:
    """Make a version Production by a person's approval; None if it is already. `metrics` go on record too.

    Without `why`, a version that waits is approved for what the gate said, as long as what it was compared with is in
    Production. With it, or if it does not wait, it is promoted whatever the gate said.

    Raises
    ------
    PromotionError
        If nobody's name would go on record though one is required, or if Production has changed since the gate spoke.
    HistoryError
        If the history is damaged, or newer than MLflow.
    """
    passed = check_approval(settings, version)
    if passed and why is None:
        try:
            change = promote(
                settings,
                version,
                why=f"approved: {passed.why}",
                metrics={**passed.metrics, **(metrics or {})},
                judged_against=passed.against,
            )
        except ProductionMovedError as error:
            raise PromotionError(
                f"{error} Train again for that, or promote it all the same, with --why TEXT, which is recorded."
            ) from error
    else:
        change = promote(settings, version, why=why or "promoted by hand", metrics=dict(metrics or {}))
    if passed:
        last = change or next((one for one in reversed(history(settings)) if one.to_version == version.version), None)
        who = last.who if last else whoever(settings)  # without a record, the alias was set by hand
        set_tags(settings, version, {APPROVAL_TAG: f"approved by {who}"})
    return change
