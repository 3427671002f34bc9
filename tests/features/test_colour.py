"""How colourful files are."""

import cv2
import numpy as np
import pytest

from features.reading.colour import colourfulness
from tests.features.images import dicom, jpeg, picture, png


def test_a_grey_picture_has_no_colour_in_whatever_file_it_stands() -> None:
    grey = picture(96, 96)
    tripled = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for data in (jpeg(grey), jpeg(tripled), png(grey), png(tripled), png(grey.astype(np.uint16) * 257), dicom(grey)):
        assert colourfulness(data) == 0.0


def test_the_number_is_the_mean_gap_between_the_strongest_and_the_weakest_channel() -> None:
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[:, :40] = (255, 0, 0)  # pure blue over one half
    pixels[:, 40:] = (50, 101, 50)  # a fifth of the way to pure green over the other
    assert colourfulness(png(pixels)) == pytest.approx((1.0 + 51 / 255) / 2)
    assert colourfulness(jpeg(pixels)) == pytest.approx(
        0.6, abs=0.03
    )  # JPEG keeps the three channels as whole levels of others


def test_a_picture_of_16_bits_and_transparency_counts_like_one_of_8() -> None:
    pixels = np.full((40, 40, 4), 65535, np.uint16)
    pixels[:, :, 0] = 0
    assert colourfulness(png(pixels)) == 1.0
