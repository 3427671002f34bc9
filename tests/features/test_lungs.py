"""The locator: generated X-rays whose lungs are known, whatever is around them, and what has no lungs."""

import hashlib

import cv2
import numpy as np
import pytest

from features.crop import Box
from features.look import look
from features.lungs import DIGEST, NUMBERS, SIDE, Found, Lungs, canvas_of, halved, inner, locate, numbers_of, seen
from ray_jobs.dataset.sources import open_source


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    source = open_source("synthetic:40")
    path = min(entry.path for entry in source.entries())
    return cv2.imdecode(np.frombuffer(source.read(path), np.uint8), cv2.IMREAD_GRAYSCALE)


def found(pixels: np.ndarray) -> Found:
    return locate(canvas_of(pixels), Lungs())


def test_the_shipped_numbers_are_those_that_the_code_names_and_small():
    assert hashlib.sha256(NUMBERS.read_bytes()).hexdigest() == DIGEST
    assert NUMBERS.stat().st_size <= 600 * 1024


def test_other_numbers_are_refused_and_named():
    with pytest.raises(ValueError, match="the spec names 000000000000"):
        numbers_of("0" * 64)


def test_lungs_are_found_in_the_middle_and_twice_gives_the_same(pixels):
    lungs = found(pixels)
    assert lungs.plausible
    left, top, right, bottom = lungs.box
    assert 0.05 < left < 0.3
    assert 0.1 < top < 0.3
    assert 0.7 < right < 0.95
    assert 0.65 < bottom < 0.95
    assert found(pixels) == lungs


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_frame_around_the_picture_moves_the_box_with_the_lungs(pixels, grey):
    rim = pixels.shape[0] // 10
    framed = found(cv2.copyMakeBorder(pixels, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=grey))
    expected = (np.array(found(pixels).box) + 0.1) / 1.2
    assert framed.plausible
    # The locator sees the frame too, and its boxes are good to some hundredths of a side.
    np.testing.assert_allclose(framed.box, expected, atol=0.04)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_borders_and_bars_of_one_grey_change_nothing_that_is_described(pixels, grey):
    plain = look(pixels)
    framed = look(cv2.copyMakeBorder(pixels, 40, 0, 25, 30, cv2.BORDER_CONSTANT, value=grey))
    np.testing.assert_array_equal(framed.pictures.plain, plain.pictures.plain)
    width = pixels.shape[1]
    left, right = plain.lungs.box.left * width + 25, plain.lungs.box.right * width + 25
    assert (framed.lungs.box.left, framed.lungs.box.right) == pytest.approx((left / (width + 55), right / (width + 55)))


def test_a_picture_of_one_grey_has_nothing_inside_a_border():
    assert inner(np.full((30, 30), 7, np.uint8), 0.06) == Box(0.0, 0.0, 1.0, 1.0)


def test_the_box_follows_a_letterbox(pixels):
    bar = pixels.shape[0] // 4
    left, top, right, bottom = found(cv2.copyMakeBorder(pixels, bar, bar, 0, 0, cv2.BORDER_CONSTANT, value=0)).box
    plain = found(pixels).box
    # Good to some hundredths of a side, as above; bars of half the height make these half as fine.
    np.testing.assert_allclose((left, right), (plain.left, plain.right), atol=0.04)
    # As above.
    np.testing.assert_allclose((top * 1.5 - 0.25, bottom * 1.5 - 0.25), (plain.top, plain.bottom), atol=0.06)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((224, 224), np.uint8),
        np.indices((224, 224)).sum(axis=0).astype(np.uint8),
        np.random.default_rng(0).integers(0, 256, (224, 224)).astype(np.uint8),
    ],
    ids=["black", "stripes", "noise"],
)
def test_no_lungs_are_found_where_there_are_none(picture):
    assert not found(picture).plausible


def test_depth_changes_nothing(pixels):
    deep = found(pixels.astype(np.uint16) * 257)
    np.testing.assert_allclose(deep.box, found(pixels).box, atol=1e-3)  # the ends are rounded to 1/4096


def test_a_box_too_small_or_far_outside_is_not_plausible_however_sure_the_detectors_are():
    assert Found(box=Box(0.2, 0.2, 0.8, 0.8), score=5.0).plausible
    assert not Found(box=Box(0.2, 0.2, 0.3, 0.8), score=5.0).plausible
    assert not Found(box=Box(0.7, 0.2, 1.3, 0.8), score=5.0).plausible
    assert not Found(box=Box(0.2, 0.2, 0.8, 0.8), score=0.9).plausible


def test_each_half_is_told_by_its_own_side_alone():
    square = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    other = square.copy()
    other[:, -4:] = 0.0
    one, two = halved(seen(square)), halved(seen(other))
    pixels = 32 * 16
    # The window of the contrast reaches over the middle, where the far edge hardly counts.
    np.testing.assert_allclose(one["left"][:pixels:16], two["left"][:pixels:16], atol=0.1)
    assert np.abs(one["right"] - two["right"]).max() > 0.1
