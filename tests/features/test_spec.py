"""The feature spec: its names, its fingerprint, its JSON, and what is refused."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from features.spec import DEFAULT_SPEC, FeatureSpec, SpecMismatch

PARAMETERS = [
    (family.name, parameter.name)
    for family in fields(FeatureSpec)
    if family.name != "version"
    for parameter in fields(getattr(DEFAULT_SPEC, family.name))
]


def other(value: object) -> object:
    if isinstance(value, tuple):
        return value[:-1] if len(value) > 1 else (value[0] * 2,)
    return value + 1 if isinstance(value, int) else value * 1.25  # type: ignore[operator]


@pytest.mark.parametrize(("family", "parameter"), PARAMETERS)
def test_any_parameter_changes_the_fingerprint(family: str, parameter: str) -> None:
    settings = getattr(DEFAULT_SPEC, family)
    changed = replace(DEFAULT_SPEC, **{family: replace(settings, **{parameter: other(getattr(settings, parameter))})})
    assert changed.fingerprint != DEFAULT_SPEC.fingerprint


def test_the_code_version_changes_the_fingerprint() -> None:
    assert replace(DEFAULT_SPEC, version=DEFAULT_SPEC.version + 1).fingerprint != DEFAULT_SPEC.fingerprint


def test_a_name_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(DEFAULT_SPEC.intensity), "names", lambda self, picture: (picture,))
    assert FeatureSpec().fingerprint != DEFAULT_SPEC.fingerprint


def test_the_fingerprint_is_hexadecimal_and_that_of_equal_specs_is_equal() -> None:
    assert FeatureSpec().fingerprint == DEFAULT_SPEC.fingerprint
    assert len(bytes.fromhex(DEFAULT_SPEC.fingerprint)) == 32


def test_names_are_unique_and_begin_with_their_family() -> None:
    assert len(set(DEFAULT_SPEC.names)) == len(DEFAULT_SPEC.names)
    assert {name.split(".")[0] for name in DEFAULT_SPEC.names} == {"lbp", "hog", "gabor", "intensity"}


def test_json_there_and_back_is_the_same_spec() -> None:
    small = FeatureSpec(
        normalise=replace(DEFAULT_SPEC.normalise, side=64), hog=replace(DEFAULT_SPEC.hog, cells=(16, 32))
    )
    for spec in (DEFAULT_SPEC, small):
        again = FeatureSpec.from_json(spec.to_json())
        assert again == spec
        assert again.fingerprint == spec.fingerprint
        assert again.names == spec.names


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


def test_missing_parameters_do_not_fall_back_on_defaults() -> None:
    document = json.loads(DEFAULT_SPEC.to_json())
    del document["lbp"]["grid"]
    with pytest.raises(SpecMismatch):
        FeatureSpec.from_json(json.dumps(document))


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        DEFAULT_SPEC.version = 2  # type: ignore[misc]
    assert np.isscalar(DEFAULT_SPEC.version)
