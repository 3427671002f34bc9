"""DICOM: photometric interpretation, rescale, window, compressed frames, and what is refused."""

import re

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from features.reading.decode import decode
from features.reading.errors import UndecodableImage, UnsupportedImage
from tests.features.images import dicom, jpeg, picture

RAMP = np.arange(1024, dtype=np.uint16).reshape(32, 32)


def test_monochrome2_spans_black_to_white() -> None:
    pixels = decode(dicom(RAMP))
    assert pixels.dtype == np.uint16
    assert (pixels[0, 0], pixels[-1, -1]) == (0, 65535)
    np.testing.assert_array_equal(pixels, np.rint(RAMP / 1023 * 65535))


def test_monochrome1_is_monochrome2_upside_down() -> None:
    np.testing.assert_array_equal(
        decode(dicom(RAMP, PhotometricInterpretation="MONOCHROME1")), 65535 - decode(dicom(RAMP))
    )


def test_the_window_clips_what_lies_outside_it() -> None:
    pixels = decode(dicom(RAMP, WindowCenter=512, WindowWidth=101))
    assert (pixels[RAMP <= 461] == 0).all()
    assert (pixels[RAMP >= 562] == 65535).all()
    assert abs(int(pixels[RAMP == 512][0]) - 32768) < 700


def test_the_window_applies_after_the_rescale() -> None:
    plain = decode(dicom(RAMP, WindowCenter=512, WindowWidth=101))
    rescaled = decode(dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=24, WindowWidth=201))
    assert np.abs(plain.astype(int) - rescaled).max() < 700


def test_signed_pixels_keep_their_order() -> None:
    pixels = decode(dicom(RAMP.astype(np.int16) - 512))
    np.testing.assert_array_equal(pixels, decode(dicom(RAMP)))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_other_uncompressed_syntaxes_give_the_same_pixels(syntax: str) -> None:
    raw = RAMP.byteswap() if syntax == ExplicitVRBigEndian else RAMP
    np.testing.assert_array_equal(decode(dicom(raw, syntax=syntax)), decode(dicom(RAMP)))


def test_a_jpeg_frame_is_decoded() -> None:
    grey = picture()
    data = dicom(grey, syntax=JPEGBaseline8Bit, raw=encapsulate([jpeg(grey)]))
    assert np.corrcoef(decode(data).ravel(), grey.ravel())[0, 1] > 0.995


def test_a_jpeg_frame_of_another_size_than_announced_is_refused() -> None:
    grey = picture()
    data = dicom(grey, syntax=JPEGBaseline8Bit, raw=encapsulate([jpeg(picture(64, 64))]))
    with pytest.raises(UndecodableImage, match="announces"):
        decode(data)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 3}, "Number of Frames .* is 3"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}, "RGB"),
        ({"BitsAllocated": 32}, "Bits Allocated .* is 32"),
        ({"PixelData": None}, "no pixel data"),
    ],
)
def test_what_is_not_one_grey_frame_is_unsupported(elements: dict[str, object], reason: str) -> None:
    with pytest.raises(UnsupportedImage, match=reason):
        decode(dicom(RAMP, **elements))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_an_untaken_transfer_syntax_is_refused_by_name(syntax: str) -> None:
    data = dicom(RAMP, syntax=JPEGBaseline8Bit, raw=encapsulate([b"\x00" * 64]))
    placed = data.replace(str(JPEGBaseline8Bit).encode(), str(syntax).encode()[:22].ljust(22, b"\x00"))
    with pytest.raises(UnsupportedImage, match=re.escape(UID(syntax).name)):
        decode(placed)


@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": None},
        {"Rows": 64},
        {"PixelData": RAMP.tobytes() * 2},
        {"BitsStored": 0},
        {"RescaleSlope": "1e308", "RescaleIntercept": "1e308"},
    ],
)
def test_senseless_elements_are_refused(elements: dict[str, object]) -> None:
    with pytest.raises(UndecodableImage):
        decode(dicom(RAMP, **elements))


def test_a_constant_image_is_black_not_undefined() -> None:
    assert (decode(dicom(np.full((32, 32), 7, dtype=np.uint16))) == 0).all()
