"""JPEG and PNG files that a standard forbids and every viewer shows; what is protected stays refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from features.reading.colour import colourfulness
from features.reading.decode import decode
from features.reading.errors import ImageError, UndecodableImage
from tests.features.images import jpeg, picture, png, png_chunk

GREY = picture()
PHOTO = jpeg(GREY)
WHOLE = png(GREY)
START = 33  # where the first chunk after a PNG's header begins


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def cmyk(mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.repeat(GREY[:, :, None], 3, axis=2)).convert(mode).save(file, "JPEG", quality=95)
    return file.getvalue()


def wrong_checksum(chunk: bytes) -> bytes:
    return chunk[:-4] + bytes(byte ^ 0xFF for byte in chunk[-4:])


@pytest.mark.parametrize(
    "data",
    [
        PHOTO + b"trailing",
        PHOTO + b"\xff\xd9\xff\xd9",
        PHOTO + PHOTO,
        PHOTO[:2] + PHOTO[20:],  # no JFIF segment
        PHOTO[:2] + segment(0xE1, b"Exif\x00\x00II*\x00\xff\xff\xff\xff") + PHOTO[2:],
        PHOTO[:2] + segment(0xE2, b"ICC_PROFILE\x00\x09\x01nonsense") + PHOTO[2:],
        PHOTO[:2] + segment(0xFE, b"") + PHOTO[2:],
        PHOTO[:20] + b"garbage \x00\xff\x00\xff" + PHOTO[20:],
        PHOTO[:20] + b"\xff\xff\xff" + PHOTO[20:],
    ],
)
def test_a_jpeg_that_viewers_show_gives_its_picture(data: bytes) -> None:
    np.testing.assert_array_equal(decode(data), decode(PHOTO))


def test_a_jpeg_in_cmyk_gives_the_greys_of_its_picture() -> None:
    data = cmyk("CMYK")
    assert np.abs(decode(data).astype(int) - GREY).mean() < 3
    assert colourfulness(data) < 0.05


@pytest.mark.parametrize(
    "data",
    [
        WHOLE + b"trailing",
        WHOLE[:START] + wrong_checksum(png_chunk(b"tEXt", b"Comment\x00wrong")) + WHOLE[START:],
        WHOLE[:START] + wrong_checksum(png_chunk(b"eXIf", b"II*\x00")) + WHOLE[START:],
        WHOLE[:START] + png_chunk(b"iCCP", b"profile\x00\x00no deflate") + WHOLE[START:],
        WHOLE[:START] + png_chunk(b"iCCP", b"a" * 200) + png_chunk(b"sRGB", b"\x09") + WHOLE[START:],
        WHOLE[:START] + png_chunk(b"gAMA", b"\x00" * 4) + png_chunk(b"pHYs", b"") + WHOLE[START:],
        WHOLE[:START] + png_chunk(b"zTXt", b"bomb\x00\x00" + zlib.compress(bytes(10**7))) + WHOLE[START:],
        WHOLE[:START] + png_chunk(b"prVt", b"private") + png_chunk(b"tIME", b"") + WHOLE[START:],
    ],
)
def test_a_png_that_viewers_show_gives_its_picture_and_says_nothing(
    data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    np.testing.assert_array_equal(decode(data), GREY)
    assert colourfulness(data) == 0
    assert capfd.readouterr() == ("", "")


def test_notes_of_a_colour_png_change_nothing_either() -> None:
    colour = np.zeros((40, 40, 3), dtype=np.uint8)
    colour[:] = (200, 100, 20)
    plain = png(colour)
    noted = plain[:START] + wrong_checksum(png_chunk(b"iTXt", b"x")) + plain[START:] + b"rest"
    assert colourfulness(noted) == colourfulness(plain) > 0.5
    np.testing.assert_array_equal(decode(noted), decode(plain))


@pytest.mark.parametrize("kind", [b"iDAT", b"ID\x00T", b"tRNS", b"IDAX", b"acTL"])
def test_a_chunk_of_the_picture_with_a_wrong_checksum_is_refused_whatever_its_name_has_become(kind: bytes) -> None:
    with pytest.raises(UndecodableImage, match="checksum of a chunk is wrong"):
        decode(WHOLE.replace(b"IDAT", kind))


def test_an_end_before_the_picture_and_a_second_picture_inside_are_refused() -> None:
    for data in (PHOTO[:20] + b"\xff\xd9" + PHOTO[20:], PHOTO.replace(b"\xff\xc0", b"\xff\xc0\x00\x02\xff\xc0", 1)):
        with pytest.raises(ImageError):
            decode(data)


def test_a_far_off_value_in_a_deep_png_does_not_decide_its_range() -> None:
    ramp = np.arange(1600, dtype=np.uint16).reshape(40, 40) + 32768
    pixels = decode(png(np.pad(ramp, 8, constant_values=0)))
    np.testing.assert_array_equal(pixels[8:-8, 8:-8], ramp)
    assert (pixels[0] == 32768).all()
    np.testing.assert_array_equal(decode(png(ramp)), ramp)
