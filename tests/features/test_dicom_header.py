"""DICOM files as they are met: lacking parts, of odd layout, with header facts that change what pixels mean."""

import struct
import zlib

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from features.reading.decode import decode, is_image
from features.reading.errors import ImageError, ImageTooLarge, UndecodableImage, UnsupportedImage
from features.reading.limits import Limits
from tests.features.images import jpeg, picture, with_exif
from tests.features.raw_dicom import data_set, element, file_of, image, made, numbers, text

RAMP = np.arange(1600, dtype=np.uint16).reshape(40, 40) + 200
SHOWN = np.rint((RAMP - 200) / 1599 * 65535)
GREY = picture(48, 40)
ALL = {
    "SOPClassUID": ("UI", b"1.2.840.10008.5.1.4.1.1.1.1\x00"),
    "PatientName": text("PN", "MUSTERMANN^ERIKA"),
    **image(RAMP),
}
FIRST = {"SpecificCharacterSet": text("CS", "ISO_IR 100"), **ALL}


@pytest.mark.parametrize("elements", [image(RAMP), ALL, FIRST, {"00080000": numbers("UL", 90), **FIRST}])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, None])
@pytest.mark.parametrize(("preamble", "meta"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_file_is_read_without_preamble_header_or_transfer_syntax(
    elements: dict[str, tuple[str, bytes]], syntax: str | None, preamble: bool, meta: bool
) -> None:
    if syntax == ExplicitVRBigEndian:
        swap = {"US": 2, "UL": 4, "OW": 2}
        elements = {
            name: (vr, np.frombuffer(value, f"u{swap[vr]}").byteswap().tobytes() if vr in swap else value)
            for name, (vr, value) in elements.items()
        }
    data = file_of(elements, syntax=syntax, preamble=preamble, meta=meta)
    if "SOPClassUID" not in elements and not (preamble or meta):  # begins with no element that a file begins with
        assert not is_image(data[:132])
        return
    assert is_image(data[:132])
    np.testing.assert_array_equal(decode(data), SHOWN)


def test_a_transfer_syntax_that_the_data_contradict_is_not_believed() -> None:
    for told, true in [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
    ]:
        body = data_set(ALL, implicit=true == ImplicitVRLittleEndian)
        data = file_of({}, syntax=told) + body
        np.testing.assert_array_equal(decode(data), SHOWN)


def test_what_is_nested_in_sequences_of_undefined_length_is_passed_over() -> None:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    inner = item + data_set({"Rows": numbers("US", 7), "PatientID": text("LO", "X")})
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    head = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    deep = head
    for _ in range(3_000):  # no depth is too much
        deep += item + head
    deep += inner + ends * 3_001
    data = file_of({}) + deep + data_set(image(RAMP))
    np.testing.assert_array_equal(decode(data), SHOWN)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("length", [20, 0x4141, 0x424F, 0x5153])  # the last three look like "AA", "OB" and "SQ"
def test_a_value_of_unknown_type_and_undefined_length_is_passed_over_however_it_is_written(
    length: int, implicit: bool
) -> None:
    inside = element(0x00331011, "UN", b"\x01" * length, implicit=implicit)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inside + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    unknown = struct.pack("<HH2sHI", 0x0033, 0x1010, b"UN", 0, 0xFFFFFFFF) + item
    unknown += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    pixels = data_set({"PixelData": ("OW", RAMP.tobytes())})
    data = file_of({}) + data_set(image(RAMP, PixelData=None)) + unknown + pixels
    np.testing.assert_array_equal(decode(data), SHOWN)


@pytest.mark.parametrize(
    "rest", [b"\x00", b"\x00" * 512, struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 900) + b"ab"]
)
def test_what_follows_the_pixel_data_is_passed_over(rest: bytes) -> None:
    np.testing.assert_array_equal(decode(made(RAMP) + rest), SHOWN)


@pytest.mark.parametrize("rest", [b"\x00", b"\x00" * 512, b"trailer" * 11])
def test_padding_and_less_than_a_row_too_much_are_passed_over(rest: bytes) -> None:
    np.testing.assert_array_equal(decode(made(RAMP, PixelData=("OW", RAMP.tobytes() + rest))), SHOWN)


@pytest.mark.parametrize("shift", [0, 4])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_stored_bits_are_read_from_where_the_high_bit_says(shift: int, dtype: type) -> None:
    stored = (RAMP.astype(int) - 1000 * (dtype is np.int16)) & 0xFFF
    words = (stored << shift).astype(np.uint16) | (0x7000 if shift == 0 else 0x0007)  # an overlay in the unused bits
    elements = {"BitsStored": numbers("US", 12), "HighBit": numbers("US", 11 + shift)}
    signed = {"PixelRepresentation": numbers("US", int(dtype is np.int16))}
    np.testing.assert_array_equal(decode(made(words, **elements, **signed)), SHOWN)


def test_eight_bits_are_read_as_well_in_words_of_either_order() -> None:
    expected = decode(made(GREY))
    np.testing.assert_array_equal(decode(made(GREY, PixelData=("OB", GREY.tobytes()))), expected)
    swapped = GREY.view(np.uint16).byteswap().tobytes()
    elements = image(GREY, PixelData=("OW", swapped))
    big = {name: (vr, value[::-1] if vr == "US" else value) for name, (vr, value) in elements.items()}
    np.testing.assert_array_equal(decode(file_of(big, syntax=ExplicitVRBigEndian)), expected)


@pytest.mark.parametrize(
    ("elements", "refusal", "named"),
    [
        (
            {"HighBit": numbers("US", 3)},
            UndecodableImage,
            r"High Bit \(0028,0102\) is 3; with 16 bits stored of 16 .* 15",
        ),
        ({"HighBit": numbers("US", 16)}, UndecodableImage, r"High Bit \(0028,0102\) is 16"),
        ({"BitsStored": numbers("US", 17)}, UndecodableImage, r"Bits Stored \(0028,0101\) is 17; it must be 1 to 16"),
        ({"BitsStored": numbers("US", 0)}, UndecodableImage, r"Bits Stored \(0028,0101\) is 0"),
        (
            {"BitsAllocated": numbers("US", 12)},
            UnsupportedImage,
            r"Bits Allocated \(0028,0100\) is 12; it must be 8 or 16",
        ),
        ({"BitsAllocated": None}, UnsupportedImage, "Bits Allocated .* is missing or empty"),
        ({"PixelRepresentation": numbers("US", 2)}, UndecodableImage, r"Pixel Representation \(0028,0103\) is 2; .* 0"),
        ({"Rows": ("US", b"")}, UndecodableImage, r"Rows \(0028,0010\) is missing or empty"),
        ({"Columns": text("LO", "MUSTERMANN")}, UndecodableImage, r"Columns \(0028,0011\) is not a number"),
        ({"Rows": numbers("US", 0)}, UndecodableImage, r"Rows \(0028,0010\) is 0"),
        ({"Rows": numbers("US", 41)}, UndecodableImage, "3,200 bytes, but 41 × 40 pixels of 16 bits need 3,280"),
        ({"Rows": numbers("US", 39)}, UndecodableImage, "Rows .*, Columns .* or Number of Frames .* is wrong"),
        (
            {"NumberOfFrames": text("IS", "2")},
            UnsupportedImage,
            r"Number of Frames \(0028,0008\) is 2, only 1 is taken",
        ),
        ({"NumberOfFrames": text("IS", "9" * 30)}, UnsupportedImage, "is out of all bounds"),
        ({"SamplesPerPixel": numbers("US", 3)}, UnsupportedImage, r"Samples per Pixel \(0028,0002\) is 3"),
        ({"PhotometricInterpretation": text("CS", "RGB")}, UnsupportedImage, r"\(0028,0004\) is RGB"),
        ({"PhotometricInterpretation": text("CS", "MUSTERMANN")}, UnsupportedImage, "is missing or unknown; only"),
        ({"PixelData": None}, UnsupportedImage, "no pixel data"),
        ({"PixelData": None, "FloatPixelData": ("OF", bytes(6400))}, UnsupportedImage, "Float Pixel Data"),
    ],
)
def test_a_refusal_names_the_element_its_number_and_what_would_be_right(
    elements: dict[str, tuple[str, bytes] | None], refusal: type[ImageError], named: str
) -> None:
    with pytest.raises(refusal, match=named) as raised:
        decode(made(RAMP, **elements))
    assert "MUSTER" not in str(raised.value)


@pytest.mark.parametrize(
    "elements",
    [
        {"HighBit": None, "BitsStored": None, "PixelRepresentation": ("US", b""), "SamplesPerPixel": None},
        {"Rows": numbers("US", 40, 99), "Columns": text("IS", "40")},
        {"PhotometricInterpretation": ("CS", b"monochrome 2\x00\x00")},
    ],
)
def test_what_can_only_mean_one_thing_needs_not_be_said(elements: dict[str, tuple[str, bytes] | None]) -> None:
    np.testing.assert_array_equal(decode(made(RAMP, **elements)), SHOWN)


def compressed(*fragments: bytes, syntax: str = JPEGBaseline8Bit) -> bytes:
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in fragments)
    body = data_set(image(GREY, PixelData=None))
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    return file_of({}, syntax=syntax) + body + head + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def test_a_jpeg_is_put_together_from_its_fragments_with_or_without_a_table_of_them() -> None:
    whole = jpeg(GREY)
    whole += b"\x00" * (len(whole) % 2)
    expected = decode(compressed(b"", whole))
    assert np.corrcoef(expected.ravel(), GREY.ravel())[0, 1] > 0.995
    for data in [
        compressed(b"\x00" * 4, whole[:100], whole[100:300], whole[300:]),
        compressed(whole),
        compressed(b"\xff" * 4, whole),  # a table that is wrong
        compressed(b"", whole, syntax=JPEGExtended12Bit),
    ]:
        np.testing.assert_array_equal(decode(data), expected)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_jpeg_in_a_dicom_is_not_turned_by_its_own_notes(orientation: int) -> None:
    whole = jpeg(GREY)
    np.testing.assert_array_equal(
        decode(compressed(b"", with_exif(whole, orientation))), decode(compressed(b"", whole))
    )


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (
            compressed(b"", jpeg(GREY), syntax=ExplicitVRLittleEndian),
            "are compressed, its Transfer Syntax .* uncompressed",
        ),
        (file_of(image(GREY), syntax=JPEGBaseline8Bit), "are uncompressed, its Transfer Syntax .* JPEG"),
        (compressed(b"", b"no picture"), "begin like no JPEG"),
        (compressed(b""), "begin like no JPEG"),
        (compressed(b"", jpeg(GREY)[:-2]), "truncated"),
        (compressed(b"", jpeg(GREY))[:-40], "cut short inside its pixel data"),
        (made(RAMP)[:263], "does not end within the file"),
        (file_of({}) + b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff", "does not end within the file"),
    ],
)
def test_pixel_data_that_are_not_what_they_are_said_to_be_are_refused(data: bytes, named: str) -> None:
    with pytest.raises(UndecodableImage, match=named):
        decode(data)


def test_a_deflated_data_set_is_read_up_to_the_limit_of_a_file() -> None:
    squeezed = zlib.compressobj(wbits=-15)
    body = squeezed.compress(data_set(ALL)) + squeezed.flush()
    data = file_of({}, syntax=DeflatedExplicitVRLittleEndian) + body
    np.testing.assert_array_equal(decode(data), SHOWN)
    with pytest.raises(ImageTooLarge, match="deflated data set has more than 3,000 bytes"):
        decode(data, Limits(max_bytes=3_000))
    with pytest.raises(UndecodableImage, match="deflated data set is corrupt"):
        decode(file_of({}, syntax=DeflatedExplicitVRLittleEndian) + b"\xff" * 200)


def test_very_many_elements_are_not_read() -> None:
    many = element(0x00091010, "LO", b"") * 20_001
    with pytest.raises(UndecodableImage, match="more than 20,000 elements"):
        decode(file_of({}) + many + data_set(image(RAMP)))
