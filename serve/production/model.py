"""The model that answers now, the last failure to replace it, and the one place where both are kept."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from registry.bundle import Bundle
from registry.versions import ModelVersion

FailureCode = Literal[
    "registry-unreachable",
    "no-production-version",
    "refused",
    "not-fetched",
    "alias-moved",
    "history-damaged",
    "history-newer",
]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A verified, warmed-up model; `source` says whether the registry or the copy on disk gave it."""

    version: ModelVersion
    bundle: Bundle
    since: datetime
    source: Literal["registry", "disk"]


@dataclass(frozen=True, kw_only=True)
class SwapFailure:
    """Why Production is not what is served, or is not to be trusted; `version` is None where it could not be learnt."""

    code: FailureCode
    version: int | None
    detail: str
    remedy: str
    since: datetime


@dataclass
class Holder:
    """What the watcher writes and requests read.

    Each field is replaced as a whole, never changed in place. A request reads `served` once and computes its answer
    from that reference alone, so an answer can never mix two versions.
    """

    served: Served | None = field(default=None)
    failure: SwapFailure | None = field(default=None)
