"""Decoding: every kind that is taken, and every way in which bytes can be wrong."""

import contextlib
import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from features.reading.decode import Limits, decode
from features.reading.errors import ImageError, ImageTooLarge, UndecodableImage, UnsupportedImage
from tests.features.images import dicom, exif, jpeg, picture, png, png_chunk, raw_png, with_exif

GREY = picture()
KINDS = {
    "jpeg": jpeg(GREY),
    "progressive jpeg": jpeg(GREY, progressive=True),
    "png": png(GREY),
    "dicom": dicom(GREY),
}


@pytest.mark.parametrize("name", ["png", "dicom"])
def test_a_lossless_file_gives_back_its_pixels(name: str) -> None:
    pixels = decode(KINDS[name])
    assert pixels.shape == GREY.shape
    if name == "png":
        np.testing.assert_array_equal(pixels, GREY)
    else:
        assert np.corrcoef(pixels.ravel(), GREY.ravel())[0, 1] > 0.99999


@pytest.mark.parametrize("progressive", [False, True])
def test_a_grey_and_a_colour_jpeg_give_nearly_the_same_grey_pixels(progressive: bool) -> None:
    colour = cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR)
    for data in (jpeg(GREY, progressive=progressive), jpeg(colour, progressive=progressive)):
        assert np.abs(decode(data).astype(int) - GREY).mean() < 2.0


def test_colour_becomes_luma() -> None:
    blue_green_red = np.zeros((32, 32, 3), dtype=np.uint8)
    blue_green_red[:] = (10, 100, 200)
    assert (decode(png(blue_green_red)) == round(0.114 * 10 + 0.587 * 100 + 0.299 * 200)).all()


def test_sixteen_bits_stay_sixteen_bits() -> None:
    deep = GREY.astype(np.uint16) * 201
    pixels = decode(png(deep))
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, deep)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_the_bits_of_a_detector_in_a_file_of_sixteen_become_all_greys(bits: int) -> None:
    deep = GREY.astype(np.uint16) * 257
    pixels = decode(png(deep >> (16 - bits)))
    assert pixels.dtype == np.uint16
    assert np.abs(pixels.astype(int) - deep).max() < 2 ** (16 - bits)


def test_sixteen_bit_colour_becomes_sixteen_bit_grey() -> None:
    deep = np.repeat(GREY[:, :, None].astype(np.uint16) * 201, 3, axis=2)
    pixels = decode(png(deep))
    assert pixels.dtype == np.uint16
    assert np.abs(pixels.astype(int) - deep[:, :, 0]).max() <= 1


def test_half_transparent_pixels_are_half_as_bright() -> None:
    grey_and_alpha = raw_png(40, 40, 8, 4, (b"\x00" + b"\x64\x80" * 40) * 40)
    assert (decode(grey_and_alpha) == 50).all()


@pytest.mark.parametrize(
    ("depth", "row", "clear"), [(8, b"\xff\x64", 255), (16, b"\xff\xff\x64\x64", 65535), (4, b"\xf6", 15)]
)
def test_a_grey_that_stands_for_transparent_is_black(depth: int, row: bytes, clear: int) -> None:
    named = png_chunk(b"tRNS", clear.to_bytes(2, "big"))
    pixels = decode(raw_png(40, 40, depth, 0, (b"\x00" + row * 20) * 40, named))
    assert (pixels[:, ::2] == 0).all()
    assert (pixels[:, 1::2] > 0).all()


def test_a_palette_and_one_bit_a_pixel_are_expanded() -> None:
    palette = raw_png(40, 40, 8, 3, (b"\x00" + b"\x01" * 40) * 40, png_chunk(b"PLTE", b"\x00\x00\x00\x64\x64\x64"))
    assert (decode(palette) == 100).all()
    bits = raw_png(40, 40, 1, 0, (b"\x00" + b"\xaa" * 5) * 40)
    assert (decode(bits)[:, :2] == [255, 0]).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone_as_pillow_undoes_it(orientation: int, order: str) -> None:
    from PIL import ImageOps

    data = with_exif(jpeg(GREY), orientation, order)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L"))
    pixels = decode(data)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 1.0


def test_exif_orientation_in_a_png_counts_too() -> None:
    data = png(GREY)
    turned = data[:33] + png_chunk(b"eXIf", exif(6)) + data[33:]
    np.testing.assert_array_equal(decode(turned), np.rot90(GREY, -1))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_senseless_orientation_counts_as_upright(orientation: int) -> None:
    assert decode(with_exif(jpeg(GREY), orientation)).shape == GREY.shape


def test_an_empty_file_is_refused_by_name() -> None:
    with pytest.raises(UndecodableImage, match="empty"):
        decode(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a" + bytes(100),
        b"II*\x00" + bytes(100),
        b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(100),
        b"P5 40 40 255\n" + bytes(1600),
        b"BM" + bytes(100),
        b"%PDF-1.7" + bytes(100),
        b"hello",
        b"\xff",
    ],
)
def test_any_other_kind_of_file_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="not JPEG, PNG or DICOM"):
        decode(data)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    data = KINDS[name]
    for kept in {*range(1, 700), *range(700, len(data), 37), *range(len(data) - 20, len(data))}:
        if kept < len(data):
            with pytest.raises(ImageError):
                decode(data[:kept])


def test_a_truncated_jpeg_is_refused_by_name() -> None:
    with pytest.raises(UndecodableImage, match="truncated"):
        decode(KINDS["jpeg"][:-2])


def test_a_png_with_one_changed_byte_is_refused_by_its_checksum() -> None:
    data = bytearray(KINDS["png"])
    data[len(data) // 2] ^= 1
    with pytest.raises(UndecodableImage, match="checksum"):
        decode(bytes(data))


def test_a_png_with_too_few_rows_is_refused() -> None:
    with pytest.raises(UndecodableImage):
        decode(raw_png(40, 40, 8, 0, (b"\x00" + b"\x64" * 40) * 20))


def test_an_animated_png_is_unsupported() -> None:
    animated = raw_png(40, 40, 8, 0, (b"\x00" + b"\x64" * 40) * 40, png_chunk(b"acTL", struct.pack(">II", 1, 0)))
    with pytest.raises(UnsupportedImage, match="animated"):
        decode(animated)


def test_a_twelve_bit_or_lossless_jpeg_is_unsupported() -> None:
    data = KINDS["jpeg"]
    frame = data.index(b"\xff\xc0")
    with pytest.raises(UnsupportedImage, match="12 bits"):
        decode(data[: frame + 4] + b"\x0c" + data[frame + 5 :])
    with pytest.raises(UnsupportedImage, match="lossless"):
        decode(data[: frame + 1] + b"\xc3" + data[frame + 2 :])


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = KINDS["progressive jpeg"]
    scan = data.index(b"\xff\xda")
    with pytest.raises(UnsupportedImage, match="scans"):
        decode(data[:scan] + data[scan:-2] * 20 + data[-2:])


def bomb_png() -> bytes:
    rows = zlib.compressobj()
    body = b"".join([*(rows.compress(bytes(30_001)) for _ in range(30_000)), rows.flush()])
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def bomb_jpeg() -> bytes:
    data = KINDS["jpeg"]
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", 30_000, 30_000) + data[frame + 9 :]


@pytest.mark.parametrize("kind", ["png", "jpeg", "dicom"])
def test_thirty_thousand_pixels_a_side_are_refused_without_allocating_them(kind: str) -> None:
    data = {"png": bomb_png, "jpeg": bomb_jpeg, "dicom": lambda: dicom(GREY, Rows=30_000, Columns=30_000)}[kind]()
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge, match="30,000 × 30,000"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_too_many_bytes_are_refused_before_anything_is_read() -> None:
    with pytest.raises(ImageTooLarge, match="limit is 100"):
        decode(KINDS["png"], Limits(max_bytes=100))


def test_a_thumbnail_is_refused_by_name() -> None:
    with pytest.raises(UndecodableImage, match="32 a side"):
        decode(png(np.zeros((31, 500), dtype=np.uint8)))


@given(
    data=st.binary(max_size=600),
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(128) + b"DICM"]),
)
@example(data=b"", start=b"\xff\xd8\xff")
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_nothing_but_an_image_error(data: bytes, start: bytes) -> None:
    with pytest.raises(ImageError):
        decode(start + data)


@given(name=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32 - 1))
@example(name="dicom", seed=32544)  # rows changed from 80 to 39: pydicom finds two frames
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_decode_or_raise_an_image_error(name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = np.frombuffer(KINDS[name], dtype=np.uint8).copy()
    spots = random.integers(0, min(len(data), 2_000), size=random.integers(1, 12))
    data[spots] = random.integers(0, 256, size=len(spots))
    pixels = None
    with contextlib.suppress(ImageError):
        pixels = decode(data.tobytes())
    if pixels is not None:
        assert pixels.ndim == 2
        assert pixels.dtype in (np.uint8, np.uint16)
