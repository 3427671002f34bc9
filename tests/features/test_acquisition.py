"""Views of other acquisitions: deterministic, bounded, and those to judge by of other kinds than those to fit on."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from features.acquisition import Acquisition, other_acquisitions
from tests.features.images import picture

STILL = Acquisition(fitted=1, judged=0, zoom=0.0, aspect=0.0, rotation=0.0, shift=0.0, gamma=0.0, blur=0.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_views_are_in_the_unit_range_whatever_the_depth(dtype):
    pixels = (picture(300, 200).astype(np.float64) * (np.iinfo(dtype).max / 255)).astype(dtype)
    for view in other_acquisitions(pixels, b"seed", Acquisition(fitted=4, judged=8)):
        assert view.shape == (224, 224)
        assert view.dtype == np.float32
        assert 0.0 <= view.min() <= view.max() <= 1.0 + 1e-6


def test_the_same_seed_gives_the_same_views_and_more_of_one_kind_leave_the_others():
    pixels = picture(240, 240)
    few = other_acquisitions(pixels, b"seed", Acquisition(fitted=1, judged=1))
    many = other_acquisitions(pixels, b"seed", Acquisition(fitted=2, judged=1))
    np.testing.assert_array_equal(few[0], many[0])
    np.testing.assert_array_equal(few[1], many[2])
    assert not np.array_equal(few[0], other_acquisitions(pixels, b"another", Acquisition(fitted=1, judged=1))[0])


def test_without_bounds_only_the_tone_of_a_view_may_differ():
    pixels = picture(224, 224)
    for number in range(6):
        seed = hashlib.sha256(bytes([number])).digest()
        (view,) = other_acquisitions(pixels, seed, STILL)
        order = np.argsort(pixels.ravel(), kind="stable")
        assert np.all(np.diff(view.ravel()[order]) >= -1e-6)  # a curve of greys, which keeps their order


def test_views_to_judge_by_differ_from_those_to_fit_on_in_more_than_tone():
    pixels = picture(224, 224)
    judged = other_acquisitions(pixels, b"seed", replace(STILL, fitted=0, judged=8))
    order = np.argsort(pixels.ravel(), kind="stable")
    assert sum(bool(np.any(np.diff(view.ravel()[order]) < -0.01)) for view in judged) >= 6
