"""The feature spec: its names, its fingerprint, its JSON, and what is refused."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

from features import spec as spec_module
from features.descriptors.family import FeatureFamily
from features.descriptors.filter_bank import FilterBank
from features.descriptors.hog import Hog
from features.descriptors.intensity import Intensity
from features.descriptors.lbp import Lbp
from features.extract import describe
from features.spec import CODE_VERSION, DEFAULT_SPEC, FAMILIES, FeatureSpec, SpecMismatch
from tests.features.images import picture

# The spec without families that come later, and the document that this code wrote for it: models and caches on disk
# carry it and its digest.
FIRST = FeatureSpec(families=(Lbp(), Hog(), FilterBank(), Intensity()))
WRITTEN = Path(__file__).with_name("spec.json").read_text().strip()
FINGERPRINT = "ca32eb12ffa64f3d99e3c254a4de6365fbd39c8af7d857eeac9bae8b39b70f95"
SUMS = [-0.43692, 3.8606, 0.30318, -4.2648]  # of a generated picture's numbers, weighted, a family each

PARAMETERS = [
    (part.key if isinstance(part, FeatureFamily) else name, parameter.name)
    for name, part in [
        ("normalise", DEFAULT_SPEC.normalise),
        ("lungs", DEFAULT_SPEC.lungs),
        ("acquisition", DEFAULT_SPEC.acquisition),
        *(("", family) for family in DEFAULT_SPEC.families),
    ]
    for parameter in fields(part)
]


def other(value: object) -> object:
    if isinstance(value, str):
        return value[::-1]
    if isinstance(value, tuple):
        return value[:-1] if len(value) > 1 else (value[0] * 2,)
    return value + 1 if isinstance(value, int) else value * 1.25  # type: ignore[operator]


@pytest.mark.parametrize(("family", "parameter"), PARAMETERS)
def test_any_parameter_changes_the_fingerprint(family: str, parameter: str) -> None:
    changed = FeatureSpec.from_json(DEFAULT_SPEC.to_json())
    for part in (changed.normalise, changed.lungs, changed.acquisition, *changed.families):
        if family in (getattr(part, "key", None), type(part).__name__.lower()):
            object.__setattr__(part, parameter, other(getattr(part, parameter)))
    assert changed.fingerprint != DEFAULT_SPEC.fingerprint


def test_the_code_version_changes_the_fingerprint() -> None:
    assert replace(DEFAULT_SPEC, version=DEFAULT_SPEC.version + 1).fingerprint != DEFAULT_SPEC.fingerprint


def test_a_name_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hog, "names", lambda self, side: (f"hog.{side}",))
    assert FeatureSpec().fingerprint != DEFAULT_SPEC.fingerprint


def test_the_fingerprint_is_hexadecimal_and_that_of_equal_specs_is_equal() -> None:
    assert FeatureSpec().fingerprint == DEFAULT_SPEC.fingerprint
    assert len(bytes.fromhex(DEFAULT_SPEC.fingerprint)) == 32


def test_names_are_unique_and_begin_with_their_family() -> None:
    assert len(set(DEFAULT_SPEC.names)) == len(DEFAULT_SPEC.names)
    families = dict.fromkeys(name.split(".")[0] for name in FIRST.names)
    assert list(families) == ["lbp", "hog", "gabor", "intensity"]


def test_json_there_and_back_is_the_same_spec() -> None:
    small = FeatureSpec(
        normalise=replace(DEFAULT_SPEC.normalise, side=64), families=(Lbp(radii=(2.0,)), Hog(cells=(16, 32)))
    )
    for spec in (DEFAULT_SPEC, replace(DEFAULT_SPEC, lungs=None, acquisition=None), small):
        again = FeatureSpec.from_json(spec.to_json())
        assert again == spec
        assert again.fingerprint == spec.fingerprint
        assert again.names == spec.names


def test_what_this_version_wrote_is_read_and_written_to_the_last_byte() -> None:
    assert FIRST.to_json() == WRITTEN
    assert FIRST.fingerprint == FINGERPRINT
    assert FeatureSpec.from_json(WRITTEN) == FIRST
    # A bundle's card holds the same document with indentation.
    assert FeatureSpec.from_json(json.dumps(json.loads(WRITTEN), indent=1)).fingerprint == FINGERPRINT


def test_a_spec_of_other_numbers_for_the_lungs_is_refused_and_both_are_named() -> None:
    document = json.loads(DEFAULT_SPEC.to_json())
    document["lungs"]["numbers"] = "f" * 64
    with pytest.raises(SpecMismatch, match=f"finds lungs by numbers {'f' * 12}, this code has"):
        FeatureSpec.from_json(json.dumps(document))


def test_the_numbers_of_this_version_are_those_it_had() -> None:
    vector = describe(picture(300, 260), FIRST)
    sums = np.add.reduceat(vector * np.cos(np.arange(len(vector))), [0, 480, 2244, 3396])  # where each family begins
    # To the five digits that SUMS is written with, less what weights that cancel one another leave of them.
    np.testing.assert_allclose(sums, SUMS, rtol=1e-3)


def test_a_new_family_leaves_what_was_written_without_it_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Mean(FeatureFamily):
        key = "mean"

        def names(self, side):  # type: ignore[no-untyped-def]
            return ("mean.plain",)

        def places(self, side):  # type: ignore[no-untyped-def]
            return np.full((1, 4), np.nan)

        def compute(self, pictures):  # type: ignore[no-untyped-def]
            return pictures.plain.mean(keepdims=True)[0]

    monkeypatch.setattr(spec_module, "FAMILIES", (*FAMILIES, Mean))
    assert FeatureSpec().names[-1] == "mean.plain"
    assert FeatureSpec.from_json(FeatureSpec().to_json()) == FeatureSpec()
    old = FeatureSpec.from_json(WRITTEN)
    assert old.fingerprint == FINGERPRINT
    assert len(describe(picture(), old)) == len(FIRST.names)
    assert len(describe(picture(), FeatureSpec())) == len(DEFAULT_SPEC.names) + 1


def broken(change: str) -> str:
    document = json.loads(DEFAULT_SPEC.to_json())
    match change:
        case "a name":
            document["names"][3] = "foreign"
        case "the order":
            document["names"].reverse()
        case "a name too few":
            document["names"].pop()
        case "no names":
            del document["names"]
        case "an unknown family":
            document["wavelets"] = {"levels": 3}
        case "an unknown parameter":
            document["lbp"]["method"] = "ror"
        case "another code version":
            document["version"] += 1
        case "a family too few":
            del document["hog"]
        case "no family at all":
            document = {name: document[name] for name in ("normalise", "version")} | {"names": []}
        case "a family that is no table":
            document["hog"] = 3
        case "a text for a number":
            document["lbp"]["grid"] = "4"
        case "names that are a number":
            document["names"] = 3
        case "no object":
            return "[1, 2]"
        case "no JSON":
            return "{"
    return json.dumps(document)


@pytest.mark.parametrize(
    "change",
    [
        "a name",
        "the order",
        "a name too few",
        "no names",
        "an unknown family",
        "an unknown parameter",
        "another code version",
        "a family too few",
        "no family at all",
        "a family that is no table",
        "a text for a number",
        "names that are a number",
        "no object",
        "no JSON",
    ],
)
def test_a_foreign_document_is_refused(change: str) -> None:
    with pytest.raises(SpecMismatch, match="extract the features again"):
        FeatureSpec.from_json(broken(change))


def test_a_spec_of_another_version_is_refused_and_both_are_named() -> None:
    first = json.loads(WRITTEN) | {"version": 1, "jitter": {"views": 0}}
    with pytest.raises(SpecMismatch, match=f"of version 1 of the descriptors, this code has version {CODE_VERSION}"):
        FeatureSpec.from_json(json.dumps(first))


def test_missing_parameters_do_not_fall_back_on_defaults() -> None:
    document = json.loads(DEFAULT_SPEC.to_json())
    del document["lbp"]["grid"]
    with pytest.raises(SpecMismatch):
        FeatureSpec.from_json(json.dumps(document))


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        DEFAULT_SPEC.version = 2  # type: ignore[misc]
    assert np.isscalar(DEFAULT_SPEC.version)
