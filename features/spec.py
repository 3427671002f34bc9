"""What a feature vector is made of: families, parameters, names and places, and the fingerprint of them all."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from features.acquisition import Acquisition
from features.descriptors.family import FeatureFamily
from features.descriptors.filter_bank import FilterBank
from features.descriptors.hog import Hog
from features.descriptors.intensity import Intensity
from features.descriptors.lbp import Lbp
from features.lungs import DIGEST, Lungs
from features.normalise import Normalise

# Raised by hand when the numbers change though no parameter does, so that old tables and models are refused.
CODE_VERSION = 2

# In the order of the vector. A new one goes last: models that were trained without it stay readable.
FAMILIES: tuple[type[FeatureFamily], ...] = (
    Lbp,
    Hog,
    FilterBank,
    Intensity,
)


class SpecMismatch(ValueError):
    """A table or model was made with another feature spec than the one at hand."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """How many rows of features an image has: its own, then those of views that models are fitted on and judged by."""

    fitted: int
    judged: int

    @property
    def count(self) -> int:
        """All of them."""
        return 1 + self.fitted + self.judged


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Lungs, normalisation, the families in the order of the vector, and the views of training and of judging.

    Without ``lungs`` the whole picture is described, without ``acquisition`` there are no views.
    """

    lungs: Lungs | None = field(default_factory=Lungs)
    normalise: Normalise = field(default_factory=Normalise)
    families: tuple[FeatureFamily, ...] = field(default_factory=lambda: tuple(kind() for kind in FAMILIES))
    acquisition: Acquisition | None = field(default_factory=Acquisition)
    version: int = CODE_VERSION

    def __post_init__(self) -> None:
        kinds = [type(family) for family in self.families]
        if not kinds or kinds != [kind for kind in FAMILIES if kind in kinds]:
            listed, found = (", ".join(kind.__name__ for kind in each) or "none" for each in (FAMILIES, kinds))
            raise ValueError(
                f"a feature spec has each family at most once, in the order of FAMILIES ({listed}); these are: {found}"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name for each number of the vector, in order."""
        return tuple(name for family in self.families for name in family.names(self.normalise.side))

    @cached_property
    def places(self) -> np.ndarray:
        """float64 (len(names), 4), read-only: top, left, bottom and right of where each number was measured.

        They are shares of the sides of what was normalised to the square (`features.look.Look.frame`). A row of NaN
        stands for a number of all of it.
        """
        places = np.concatenate([family.places(self.normalise.side) for family in self.families])
        places.flags.writeable = False
        return places

    @property
    def rows(self) -> Rows:
        """How many rows of features an image has, with its views."""
        views = self.acquisition
        return Rows(fitted=views.fitted, judged=views.judged) if views else Rows(fitted=0, judged=0)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the canonical JSON: any change of family, parameter or name changes it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, parameters and names."""
        parts = {"normalise": asdict(self.normalise), "version": self.version}
        parts |= {name: asdict(part) for name, part in self._optional() if part is not None}
        return _canonical(parts | {family.key: asdict(family) for family in self.families} | {"names": self.names})

    def _optional(self) -> tuple[tuple[str, Any], ...]:
        return ("lungs", self.lungs), ("acquisition", self.acquisition)

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        """The spec that `to_json` wrote; raises `SpecMismatch` for any other document, or one of other code."""
        try:
            document = json.loads(text)
            if document["version"] != CODE_VERSION:
                raise SpecMismatch(
                    f"the feature spec is of version {document['version']} of the descriptors, this code has version "
                    f"{CODE_VERSION}; extract the features again and train a new model, or use the code that made it"
                )
            spec = cls(
                normalise=_part(Normalise, document["normalise"]),
                families=tuple(_part(kind, document[kind.key]) for kind in FAMILIES if kind.key in document),
                lungs=_part(Lungs, document["lungs"]) if "lungs" in document else None,
                acquisition=_part(Acquisition, document["acquisition"]) if "acquisition" in document else None,
                version=document["version"],
            )
            if spec.lungs and spec.lungs.numbers != DIGEST:
                raise SpecMismatch(
                    f"the feature spec finds lungs by numbers {spec.lungs.numbers[:12]}, this code has {DIGEST[:12]}; "
                    "use the code that made it, or extract the features again"
                )
            same = spec.to_json() == _canonical(document)
        except SpecMismatch:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, MemoryError) as error:
            raise SpecMismatch(
                f"this is not a feature spec of this code ({error!r}); extract the features again"
            ) from error
        if not same:
            raise SpecMismatch(
                "the feature spec names other parameters or features than this code, "
                f"though both are of version {CODE_VERSION}; extract the features again"
            )
        return spec


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _part(kind: Any, value: Mapping[str, Any]) -> Any:
    return kind(**{name: tuple(item) if isinstance(item, list) else item for name, item in value.items()})


DEFAULT_SPEC = FeatureSpec()
