"""What every family owes: names, places and numbers that agree, whatever its parameters. New families are met here."""

import re
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from features.descriptors.family import FeatureFamily
from features.descriptors.filter_bank import FilterBank
from features.descriptors.hog import Hog
from features.descriptors.intensity import Intensity
from features.descriptors.lbp import Lbp
from features.normalise import Normalised
from features.spec import FAMILIES, FeatureSpec

OTHERS = [
    Lbp(radii=(1.0, 3.0), grid=3),
    Hog(orientations=6, cells=(16, 24), block=3),
    FilterBank(frequencies=(0.2,), directions=4, grid=5),
    Intensity(grid=6, quantiles=(0.5,)),
]
EVERY = pytest.mark.parametrize("family", [*(kind() for kind in FAMILIES), *OTHERS], ids=repr)
# Places are quotients of whole numbers in float64.
ROUNDING = 1e-9
SIDES = pytest.mark.parametrize("side", [128, 96])


def noise(side: int, seed: int) -> Normalised:
    random = np.random.default_rng(seed)
    return Normalised(*random.normal(size=(2, side, side)).astype(np.float32))


@EVERY
@SIDES
def test_it_gives_one_finite_number_and_one_place_a_name(family: FeatureFamily, side: int) -> None:
    names = family.names(side)
    assert len(set(names)) == len(names)
    for pictures in (noise(side, 0), Normalised(*np.zeros((2, side, side), np.float32))):
        numbers = family.compute(pictures)
        assert numbers.dtype == np.float32
        assert numbers.shape == (len(names),)
        assert np.isfinite(numbers).all()
    assert family.places(side).shape == (len(names), 4)


@EVERY
@SIDES
def test_a_place_is_where_the_number_was_measured(family: FeatureFamily, side: int) -> None:
    first, second = noise(side, 1), noise(side, 2)
    places = family.places(side)
    last = 7 * side // 8
    for axis, changed_part in ((0, np.s_[last:, :]), (1, np.s_[:, last:])):
        changed = Normalised(*(picture.copy() for picture in first))
        for picture, other in zip(changed, second, strict=True):
            picture[changed_part] = other[changed_part]
        same = family.compute(changed) == family.compute(first)
        start, end = places[:, axis], places[:, axis + 2]
        # More than half of the side lies between, for kernels and blocks that reach beyond their cell.
        assert same[end <= 0.25].all()
        touched = np.isnan(start) | (end > 0.875)
        assert touched.any()
        assert same[touched].mean() < 0.2


@EVERY
@SIDES
def test_a_place_lies_in_the_square(family: FeatureFamily, side: int) -> None:
    top, left, bottom, right = family.places(side).T
    whole = np.isnan(top)
    for start, end in ((top, bottom), (left, right)):
        assert ((start >= 0) & (start < end) & (end <= 1 + ROUNDING) | whole).all()


@EVERY
@SIDES
def test_rows_and_columns_in_a_name_are_those_of_its_place(family: FeatureFamily, side: int) -> None:
    for name, place in zip(family.names(side), family.places(side), strict=True):
        found = re.search(r"\.r(\d+)c(\d+)", name)
        if found is None:
            assert np.isnan(place).all()
            continue
        block = re.search(r"\.b(\d+)-(\d+)", name)
        row, column = (int(found[axis]) + (int(block[axis]) if block else 0) for axis in (1, 2))
        height, width = place[2:] - place[:2]
        np.testing.assert_allclose(place[:2], [row * height, column * width], atol=ROUNDING)


@pytest.mark.parametrize("kind", FAMILIES)
def test_it_is_a_frozen_table_of_parameters(kind: type[FeatureFamily]) -> None:
    assert is_dataclass(kind)
    assert hash(kind()) == hash(kind())
    for parameter in fields(kind):
        with pytest.raises(AttributeError):
            setattr(kind(), parameter.name, None)


def test_keys_and_prefixes_of_names_are_each_family_s_own() -> None:
    taken = {"normalise", "lungs", "acquisition", "version", "names"}
    keys = [kind.key for kind in FAMILIES]
    assert len(set(keys) - taken) == len(FAMILIES)
    prefixes = [{name.split(".")[0] for name in kind().names(128)} for kind in FAMILIES]
    assert [len(prefix) for prefix in prefixes] == [1] * len(FAMILIES)
    assert len(set.union(*prefixes)) == len(FAMILIES)


def test_a_spec_has_each_family_once_in_one_order() -> None:
    assert FeatureSpec(families=(Lbp(), Intensity())).names == (*Lbp().names(128), *Intensity().names(128))
    for families in [(), (Intensity(), Lbp()), (Lbp(), Lbp(grid=3))]:
        with pytest.raises(ValueError, match="in the order of FAMILIES"):
            FeatureSpec(families=families)
