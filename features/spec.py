"""What a feature vector is made of: families, parameters, ordered names, and the fingerprint of them all."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from features.augment import Jitter
from features.descriptors.filter_bank import FilterBank
from features.descriptors.hog import Hog
from features.descriptors.intensity import Intensity
from features.descriptors.lbp import Lbp
from features.normalise import Normalise

# Raised by hand when the numbers change though no parameter does, so that old tables and models are refused.
CODE_VERSION = 1


class SpecMismatch(ValueError):
    """A table or model was made with another feature spec than the one at hand."""


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Normalisation, the four families in the order of the vector, and the jitter of training views."""

    normalise: Normalise = field(default_factory=Normalise)
    lbp: Lbp = field(default_factory=Lbp)
    hog: Hog = field(default_factory=Hog)
    filter_bank: FilterBank = field(default_factory=FilterBank)
    intensity: Intensity = field(default_factory=Intensity)
    jitter: Jitter = field(default_factory=Jitter)
    version: int = CODE_VERSION

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name for each number of the vector, in order."""
        return (
            *self.lbp.names(),
            *self.hog.names(self.normalise.side),
            *self.filter_bank.names(),
            *self.intensity.names("plain"),
            *self.intensity.names("local"),
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the canonical JSON: any change of family, parameter or name changes it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, parameters and names."""
        return _canonical({**asdict(self), "names": self.names})

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        """The spec that `to_json` wrote; raises `SpecMismatch` for any other document, or one of other code."""
        try:
            document = json.loads(text)
            spec = cls(**{part.name: _part(part.type, document[part.name]) for part in fields(cls)})
            same = spec.version == CODE_VERSION and spec.to_json() == _canonical(document)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, MemoryError) as error:
            raise SpecMismatch(
                f"this is no feature spec of this code ({error!r}); extract the features again"
            ) from error
        if not same:
            raise SpecMismatch(
                f"the feature spec of version {document['version']} names other parameters or features than "
                f"version {CODE_VERSION} of this code; extract the features again"
            )
        return spec


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _part(kind: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return kind(**{name: tuple(item) if isinstance(item, list) else item for name, item in value.items()})


DEFAULT_SPEC = FeatureSpec()
