"""Boxes, by hand."""

import cv2
import numpy as np
import pytest

from features.crop import Box, cut


def test_a_margin_grows_a_box_on_each_side_by_its_share_of_the_box():
    assert Box(0.2, 0.4, 0.6, 0.6).grown(0.25) == pytest.approx((0.1, 0.35, 0.7, 0.65))


def test_a_box_in_a_box_is_told_in_shares_of_the_picture():
    assert Box(0.5, 0.0, 1.0, 0.5).within(Box(0.2, 0.2, 0.6, 1.0)) == pytest.approx((0.4, 0.2, 0.6, 0.6))


def test_the_whole_of_a_picture_at_its_own_size_is_the_picture():
    picture = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    # The weights of linear interpolation are in 32 bits.
    np.testing.assert_allclose(cut(picture, Box(0.0, 0.0, 1.0, 1.0), 8), picture, atol=1e-6)


def test_a_quarter_is_cut_to_the_pixel_and_the_rim_goes_on_beyond_the_picture():
    picture = np.arange(16, dtype=np.float32).reshape(4, 4)
    # As above, for greys to 7.
    np.testing.assert_allclose(cut(picture, Box(0.5, 0.0, 1.0, 0.5), 2), [[2, 3], [6, 7]], atol=1e-5)
    # As above.
    np.testing.assert_allclose(cut(picture, Box(0.75, 0.0, 1.25, 0.5), 2), [[3, 3], [7, 7]], atol=1e-5)


def test_a_squashed_picture_and_the_one_with_its_aspect_give_the_same_cut():
    smooth = cv2.GaussianBlur(np.random.default_rng(0).random((300, 300), dtype=np.float32), (0, 0), 9)
    squashed = cv2.resize(smooth, (200, 300), interpolation=cv2.INTER_AREA)
    box = Box(0.2, 0.3, 0.7, 0.9)
    assert np.abs(cut(smooth, box, 64) - cut(squashed, box, 64)).max() < 0.05 * smooth.std()
