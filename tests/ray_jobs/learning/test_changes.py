"""The changes that must not matter, by hand."""

import numpy as np
import pytest

from ray_jobs.learning.changes import CHANGES, bordered, exposed, letterboxed, turned, turns_many


def test_a_border_of_a_tenth_surrounds_the_picture():
    framed = bordered(np.full((10, 20), 7, np.uint8), 0.1, 255)
    assert framed.shape == (14, 24)
    assert set(framed[:2].ravel()) == {255}
    assert set(framed[2:12, 2:22].ravel()) == {7}


def test_a_letterbox_is_square_with_black_bars_above_and_below():
    boxed = letterboxed(np.full((30, 30), 9, np.uint8), 1.5)
    assert boxed.shape == (30, 30)
    np.testing.assert_array_equal(boxed[:, 0] == 0, np.repeat([True, False, True], [5, 20, 5]))


def test_gamma_keeps_black_and_white():
    np.testing.assert_array_equal(exposed(np.array([[0, 64, 255]], np.uint8), 0.5), [[0, 128, 255]])


def test_a_turn_and_its_reverse_leave_the_middle_in_its_place():
    spot = np.zeros((41, 41), np.uint8)
    spot[18:23, 18:23] = 200
    assert turned(turned(spot, 5.0), -5.0)[20, 20] > 190


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_gives_grey_bytes_of_some_size(name):
    changed = CHANGES[name](np.random.default_rng(0).integers(0, 256, (60, 50)).astype(np.uint8))
    assert changed.dtype == np.uint8
    assert changed.ndim == 2


def test_changes_that_turn_many_answers_are_named_worst_first_but_not_by_a_handful_of_x_rays():
    found = {
        "few": {"images": 200, "turned": 0.03, "auc": 0.99},
        "some": {"images": 200, "turned": 0.04, "auc": 0.99},
        "many": {"images": 200, "turned": 0.2, "auc": 0.9},
        "a handful": {"images": 20, "turned": 0.5, "auc": 0.9},
    }
    assert turns_many(found) == "many 20.0 %, some 4.0 %"
    assert turns_many({}) == ""
