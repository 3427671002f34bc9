"""How a DICOM's stored values are shown, in files as they are met: padding, far-off values, windows, tables."""

import struct

import numpy as np
import pytest

from features.reading.decode import decode
from features.reading.errors import UndecodableImage
from tests.features.raw_dicom import data_set, made, numbers, table, text

RAMP = np.arange(1600, dtype=np.uint16).reshape(40, 40) + 200
VALUES = RAMP.astype(np.float64)
TWELVE = {"BitsStored": numbers("US", 12), "HighBit": numbers("US", 11)}
MONOCHROME1 = {"PhotometricInterpretation": text("CS", "MONOCHROME1")}


def framed(pixels: np.ndarray, value: int, width: int = 8) -> np.ndarray:
    return np.pad(pixels, width, constant_values=value)


def ramped(elements: dict[str, tuple[str, bytes]]) -> np.ndarray:
    return decode(made(RAMP, **TWELVE, **elements))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("pixels", "elements"),
    [
        (framed(RAMP.astype(np.int16), -32768), {"PixelPaddingValue": numbers("SS", -32768)}),
        (framed(RAMP.astype(np.int16), -32768), {"PixelPaddingValue": numbers("US", 32768)}),
        (framed(RAMP.astype(np.int16), -32768), {"PixelPaddingValue": numbers("SS", -32768), **TWELVE}),
        (framed(RAMP.astype(np.int16), -2000), {"PixelPaddingValue": numbers("SS", -2000), **TWELVE}),
        (framed(RAMP, 65535), {"PixelPaddingValue": numbers("US", 65535)}),
        (framed(RAMP, 63536), {"PixelPaddingValue": numbers("SS", -2000), **TWELVE}),
        (framed(RAMP, 0), {"PixelPaddingValue": numbers("US", 0), **TWELVE}),
        (framed(RAMP, 0), {"PixelPaddingValue": numbers("US", 0, 7), **TWELVE}),
        (
            framed(framed(RAMP, 50, 2), 90),
            {"PixelPaddingValue": numbers("US", 0), "PixelPaddingRangeLimit": numbers("US", 99)},
        ),
        (
            framed(framed(RAMP, 50, 2), 90),
            {"PixelPaddingValue": numbers("US", 99), "PixelPaddingRangeLimit": numbers("US", 0)},
        ),
        (
            framed(RAMP, 0),
            {
                "PixelPaddingValue": numbers("US", 0),
                "ModalityLUTSequence": ("SQ", table(0, np.arange(9, 4105, dtype=np.uint16))),
            },
        ),
        (
            framed(RAMP, 4095),
            {
                "PixelPaddingValue": numbers("US", 4095),
                "WindowCenter": text("DS", "1000"),
                "WindowWidth": text("DS", "1600.0"),
            },
        ),
    ],
)
def test_padding_is_black_and_takes_no_part_in_the_range(
    pixels: np.ndarray, elements: dict[str, tuple[str, bytes]], photometric: str
) -> None:
    elements = {**elements, "PhotometricInterpretation": text("CS", photometric)}
    rim = (pixels.shape[0] - 40) // 2
    grey = decode(made(pixels, **elements))
    inner = grey[rim:-rim, rim:-rim]
    alone = {name: value for name, value in elements.items() if not name.startswith("PixelPadding")}
    np.testing.assert_array_equal(inner, decode(made(pixels[rim:-rim, rim:-rim].copy(), **alone)))
    assert inner.min() == 0
    assert inner.max() == 65535
    grey[rim:-rim, rim:-rim] = 0
    assert not grey.any()


def test_a_value_inside_the_picture_that_equals_the_padding_is_picture() -> None:
    pixels = framed(RAMP, 0)
    pixels[20:30, 20:30] = 0
    grey = decode(made(pixels, PixelPaddingValue=numbers("US", 0), **MONOCHROME1))
    assert (grey[0] == 0).all()
    assert (grey[20:30, 20:30] == 65535).all()


def test_padding_that_would_leave_nothing_is_not_believed() -> None:
    elements = {"PixelPaddingValue": numbers("US", 0), "PixelPaddingRangeLimit": numbers("US", 65535)}
    np.testing.assert_array_equal(ramped(elements), ramped({}))


@pytest.mark.parametrize(("value", "shown"), [(0, 0), (4095, 65535), (65535, 65535)])
def test_one_far_off_value_that_nobody_declared_does_not_decide_the_range(value: int, shown: int) -> None:
    picture = RAMP if value else RAMP + 2200
    grey = decode(made(framed(picture, value)))
    np.testing.assert_array_equal(grey[8:-8, 8:-8], decode(made(picture)))
    assert (grey[0] == shown).all()


@pytest.mark.parametrize(("outer", "inner"), [(-32768, -32767), (-32768, -20000), (32767, 32766), (-32768, 32767)])
def test_two_far_off_values_that_nobody_declared_do_not_decide_the_range_either(outer: int, inner: int) -> None:
    pixels = RAMP.astype(np.int16)
    grey = decode(made(framed(framed(pixels, inner, 4), outer, 4)))
    np.testing.assert_array_equal(grey[8:-8, 8:-8], decode(made(pixels)))


def test_a_few_scattered_far_off_values_leave_the_picture_its_greys() -> None:
    pixels = np.tile(RAMP, (3, 3))
    pixels[::40, ::40] = 60_000 + np.arange(9).reshape(3, 3) * 500
    grey = decode(made(pixels))
    assert np.ptp(grey[1:40, 1:40].astype(int)) > 65535 / 4


def test_a_picture_without_far_off_values_spans_exactly_black_to_white() -> None:
    np.testing.assert_array_equal(ramped({}), np.rint((RAMP - 200) / 1599 * 65535))


WINDOW = {"WindowCenter": text("DS", "1000"), "WindowWidth": text("DS", "400")}
HALF = {"RescaleSlope": text("DS", "0.5"), "RescaleIntercept": text("DS", "500")}


@pytest.mark.parametrize(
    ("function", "width", "expected"),
    [
        ("LINEAR", 401, np.clip((VALUES - 999.5) / 400 + 0.5, 0, 1)),
        ("", 401, np.clip((VALUES - 999.5) / 400 + 0.5, 0, 1)),
        ("LINEAR_EXACT", 400, np.clip((VALUES - 1000) / 400 + 0.5, 0, 1)),
        ("linear_exact ", 400, np.clip((VALUES - 1000) / 400 + 0.5, 0, 1)),
        ("LINEAR", 1, RAMP > 999.5),
        ("LINEAR", 0.5, np.clip((VALUES - 1000) / 0.5 + 0.5, 0, 1)),
        ("MUSTERMANN", 401, np.clip((VALUES - 999.5) / 400 + 0.5, 0, 1)),
    ],
)
def test_a_window_is_the_function_of_the_standard(function: str, width: float, expected: np.ndarray) -> None:
    elements = {**WINDOW, "WindowWidth": text("DS", str(width)), "VOILUTFunction": text("CS", function)}
    # Whole grey levels: half a level, and float32.
    np.testing.assert_allclose(ramped(elements), expected * 65535.0, atol=0.51)


def test_a_sigmoid_window_is_the_one_of_the_standard() -> None:
    curve = 1 / (1 + np.exp(-4 * (RAMP - 1000.0) / 400))
    expected = (curve - curve.min()) / np.ptp(curve) * 65535
    np.testing.assert_array_equal(ramped({**WINDOW, "VOILUTFunction": text("CS", "SIGMOID")}), np.rint(expected))


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowWidth": text("DS", "0"), "WindowCenter": text("DS", "1000")},
        {"WindowWidth": text("DS", "-5"), "WindowCenter": text("DS", "1000")},
        {"WindowWidth": text("DS", ""), "WindowCenter": text("DS", "1000")},
        {"WindowWidth": text("DS", "400")},
        {"WindowCenter": text("DS", "1000")},
        {"WindowWidth": text("DS", "wide"), "WindowCenter": text("DS", "1000")},
        {"WindowWidth": text("DS", "400,300"), "WindowCenter": text("DS", "1000,900")},
        {"WindowWidth": text("DS", "nan"), "WindowCenter": text("DS", "inf")},
        {"WindowWidth": ("DS", b"\x00\x00"), "WindowCenter": ("DS", b"  ")},
        {"WindowWidth": text("DS", "100"), "WindowCenter": text("DS", "60000")},
        {
            "WindowWidth": text("DS", "100"),
            "WindowCenter": text("DS", "-600"),
            "VOILUTFunction": text("CS", "LINEAR_EXACT"),
        },
        {"RescaleSlope": text("DS", ""), "RescaleIntercept": text("DS", "")},
        {"RescaleSlope": text("DS", "0"), "RescaleIntercept": text("DS", "-1024")},
        {"RescaleSlope": text("DS", "MUSTER^MAX"), "RescaleIntercept": text("DS", "0")},
        {"RescaleSlope": text("DS", "NaN"), "RescaleIntercept": text("DS", "1e999")},
        {"VOILUTFunction": text("CS", "")},
        {"VOILUTSequence": ("SQ", b"")},
        {"VOILUTSequence": ("SQ", table(0, RAMP.ravel()[:100], count=1600))},
        {"VOILUTSequence": ("SQ", table(0, RAMP.ravel())[:20])},
        {"VOILUTSequence": ("SQ", b"\xfe\xff\x00\xe0\x00\x00\x00\x00")},
        {"ModalityLUTSequence": ("SQ", table(0, RAMP.ravel()[:100], count=0))},
        {"ModalityLUTSequence": ("SQ", table(9000, RAMP.ravel()))},  # its first entry for every value
        {"ModalityLUTSequence": ("SQ", table(0, np.full(4096, 7, dtype=np.uint16)))},
        {"VOILUTSequence": ("SQ", table(9000, RAMP.ravel()))},
        {"VOILUTSequence": ("SQ", table(0, RAMP.ravel()[:150]))},  # its last entry for every value
        {"VOILUTSequence": ("SQ", table(0, np.full(4096, 7, dtype=np.uint16)))},
        {"PixelPaddingValue": ("US", b"")},
        {"PixelPaddingValue": ("US", b"\x07")},
        {"PixelPaddingRangeLimit": numbers("US", 900)},
        {"NumberOfFrames": text("IS", "")},
        {"NumberOfFrames": text("IS", "0")},
        {"NumberOfFrames": ("IS", b"1\x00")},
        {"NumberOfFrames": numbers("US", 1)},
        {"PresentationLUTShape": text("CS", "IDENTITY")},
        {"PresentationLUTShape": text("CS", "MUSTER^MAX")},
        {"LossyImageCompression": text("CS", "01"), "ICCProfile": ("OB", b"icc ")},
        {"SpecificCharacterSet": text("CS", "MUSTER^MAX"), "PatientName": text("PN", "Mü^Äx")},
        {"00091010": ("UN", b"private!"), "60003000": ("OW", bytes(200))},
    ],
    ids=lambda elements: "-".join(f"{name}={value[1][:12]!r}" for name, value in elements.items()),
)
def test_optional_elements_that_make_no_sense_count_as_absent(elements: dict[str, tuple[str, bytes]]) -> None:
    np.testing.assert_array_equal(ramped(elements), ramped({}))


@pytest.mark.parametrize(
    ("elements", "same_as"),
    [
        ({"WindowWidth": text("DS", "0\\400"), "WindowCenter": text("DS", "5\\1000")}, WINDOW),
        ({"WindowWidth": text("DS", "400\\90"), "WindowCenter": text("DS", "1000\\7\\8")}, WINDOW),
        ({"WindowWidth": text("DS", "9\\400"), "WindowCenter": text("DS", "60000\\1000")}, WINDOW),
        ({"WindowWidth": numbers("US", 400), "WindowCenter": numbers("FD", 1000)}, WINDOW),
        ({"WindowWidth": ("UN", b"400 "), "WindowCenter": text("LO", "+1.0e3")}, WINDOW),
        (
            {"RescaleSlope": text("DS", "0,5"), "RescaleIntercept": text("DS", "-100"), **WINDOW},
            {"RescaleSlope": text("DS", "0.5"), "RescaleIntercept": text("DS", "-100"), **WINDOW},
        ),
        ({"RescaleSlope": text("DS", "3\\7"), "RescaleIntercept": text("DS", "5")}, {}),
        ({"VOILUTSequence": ("SQ", table(0, RAMP.ravel()[:9], count=99)), **WINDOW}, WINDOW),
        ({"VOILUTSequence": ("SQ", table(9000, RAMP.ravel())), **WINDOW}, WINDOW),
        ({"ModalityLUTSequence": ("SQ", table(9000, RAMP.ravel())), **HALF, **WINDOW}, {**HALF, **WINDOW}),
    ],
)
def test_what_can_be_read_is_used(
    elements: dict[str, tuple[str, bytes]], same_as: dict[str, tuple[str, bytes]]
) -> None:
    np.testing.assert_array_equal(ramped(elements), ramped(same_as))


SQUARES = (np.arange(2048) ** 2 / 64).astype(np.uint16)


@pytest.mark.parametrize(
    ("sequence", "entry"),
    [
        (table(0, SQUARES), lambda values: values),
        (table(0, SQUARES, count=2000), lambda values: np.minimum(values, 1999)),
        (table(300, SQUARES), lambda values: np.maximum(values - 300, 0)),
        (table(0, np.resize(SQUARES, 65536)), lambda values: values),
        (table(0, SQUARES, bits=12, vr="SS"), lambda values: values),
        (table(-100, SQUARES, vr="SS"), lambda values: values + 100),
        (table(0, (SQUARES // 256).astype(np.uint8), bits=8), lambda values: values),
    ],
)
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_maps_values_from_its_first_one_on(keyword: str, sequence: bytes, entry: object) -> None:
    mapped = SQUARES[entry(RAMP.astype(int))].astype(float)  # type: ignore[operator]
    expected = (mapped - mapped.min()) / np.ptp(mapped) * 65535
    tolerance = 300 if b"\x08\x00" in sequence[:40] and len(sequence) < 2200 else 1
    assert np.abs(ramped({keyword: ("SQ", sequence)}) - expected).max() <= tolerance


def test_a_table_for_signed_values_starts_below_zero_even_where_its_type_is_unsigned() -> None:
    signed = RAMP.astype(np.int16) - 1000
    grey = decode(made(signed, **TWELVE, VOILUTSequence=("SQ", table(-800, SQUARES))))
    np.testing.assert_array_equal(grey, ramped({"VOILUTSequence": ("SQ", table(200, SQUARES))}))


def test_a_table_in_a_sequence_of_undefined_length_is_found() -> None:
    item = table(0, SQUARES)[8:]
    sequence = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + item + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    sequence += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    plain = made(RAMP, VOILUTSequence=("SQ", b""))
    at = plain.index(data_set({"VOILUTSequence": ("SQ", b"")}))
    nested = plain[: at + 8] + b"\xff\xff\xff\xff" + sequence + plain[at + 12 :]
    np.testing.assert_array_equal(decode(nested), decode(made(RAMP, VOILUTSequence=("SQ", table(0, SQUARES)))))


def test_a_negative_slope_turns_the_greys_over() -> None:
    turned = {"RescaleSlope": text("DS", "-2"), "RescaleIntercept": text("DS", "4095")}
    np.testing.assert_array_equal(ramped(turned), ramped(MONOCHROME1))


@pytest.mark.parametrize(
    ("elements", "named"),
    [
        ({"RescaleSlope": text("DS", "-1"), "RescaleIntercept": text("DS", "0"), **WINDOW}, "Rescale Slope .* is -1"),
        (
            {"RescaleSlope": text("DS", "1e308"), "RescaleIntercept": text("DS", "0")},
            "Rescale Slope .* out of all bounds",
        ),
        ({"PresentationLUTShape": text("CS", "INVERSE")}, "Presentation LUT Shape .* is INVERSE, which contradicts"),
        ({"PresentationLUTShape": text("CS", "IDENTITY"), **MONOCHROME1}, "is IDENTITY, which contradicts"),
    ],
)
def test_what_could_be_shown_in_two_ways_is_refused_by_name(elements: dict[str, tuple[str, bytes]], named: str) -> None:
    with pytest.raises(UndecodableImage, match=named):
        ramped(elements)
