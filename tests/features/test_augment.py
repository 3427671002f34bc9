"""Jittered views: deterministic, within their bounds, and nothing but the picture where the bounds are nought."""

from dataclasses import fields, replace

import numpy as np
import pytest

from features.augment import Jitter, views
from tests.features.images import picture

STILL = replace(Jitter(views=3), **{part.name: 0.0 for part in fields(Jitter) if part.name != "views"})


def test_no_bounds_give_the_picture_itself() -> None:
    pixels = picture(224, 224)
    for view in views(pixels, b"seed", STILL):
        # A quarter of a grey level: the picture goes through a warp and a curve in float32.
        np.testing.assert_allclose(view, pixels / 255.0, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_views_are_in_the_unit_range_whatever_the_depth(dtype: type) -> None:
    for view in views((picture(300, 200) * dtype(1)).astype(dtype), b"seed", Jitter(views=4)):
        assert view.shape == (224, 224)
        assert view.dtype == np.float32
        assert view.min() >= 0.0
        assert view.max() <= 1.0


def test_a_seed_decides_and_a_view_more_does_not_change_those_before() -> None:
    pixels = picture(224, 224)
    two, three = views(pixels, b"seed", Jitter(views=2)), views(pixels, b"seed", Jitter(views=3))
    np.testing.assert_array_equal(two, three[:2])
    assert not np.array_equal(two[0], two[1])
    assert not np.array_equal(two[0], views(pixels, b"another", Jitter(views=1))[0])


def test_a_shift_moves_the_picture_by_its_share_of_the_side_at_most() -> None:
    pixels = np.zeros((224, 224), dtype=np.uint8)
    pixels[112, 112] = 255
    for view in views(pixels, b"seed", replace(STILL, views=20, shift=0.05)):
        row, column = np.unravel_index(view.argmax(), view.shape)
        assert max(abs(row - 112), abs(column - 112)) <= 0.05 * 224 + 1
