"""The whole way from bytes to a vector."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from features.extract import describe, extract, extract_views
from features.reading.errors import ImageError, UndecodableImage
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.synthetic import chest_picture
from tests.features.images import dicom, jpeg, picture, png


@pytest.mark.parametrize("encode", [jpeg, png, dicom])
def test_every_kind_of_file_gives_one_finite_number_a_name(encode: object) -> None:
    vector = extract(encode(picture(300, 260)))  # type: ignore[operator]
    assert vector.dtype == np.float32
    assert vector.shape == (len(DEFAULT_SPEC.names),)
    assert np.isfinite(vector).all()


def test_the_same_bytes_give_the_same_numbers() -> None:
    data = jpeg(picture(300, 260))
    np.testing.assert_array_equal(extract(data), extract(data))
    np.testing.assert_array_equal(extract_views(data), extract_views(data))


@pytest.mark.parametrize("pixels", [np.zeros((64, 64)), np.full((224, 224), 255), np.eye(64) * 255])
def test_a_degenerate_picture_gives_no_nan(pixels: np.ndarray) -> None:
    assert np.isfinite(extract(png(pixels.astype(np.uint8)))).all()


def test_sixteen_bits_and_dicom_give_the_numbers_of_eight_bits() -> None:
    pixels = picture(300, 260)
    expected = extract(png(pixels))
    for data in (
        png(pixels.astype(np.uint16) * 257),
        dicom(pixels),
        dicom(~pixels, PhotometricInterpretation="MONOCHROME1"),
    ):
        assert np.corrcoef(extract(data), expected)[0, 1] > 0.999


def test_each_family_stands_under_its_own_names() -> None:
    flat = dict(zip(DEFAULT_SPEC.names, extract(png(np.full((64, 64), 9, dtype=np.uint8))).tolist(), strict=True))
    assert all(value == 0 for name, value in flat.items() if not name.startswith("lbp."))
    assert sum(value for name, value in flat.items() if name.startswith("lbp.R1.r0c0.")) == pytest.approx(1)


def test_the_first_view_is_the_picture_and_the_others_differ_a_little() -> None:
    data = chest_picture(patient=1, picture=1, label="NORMAL")
    rows = extract_views(data)
    assert rows.shape == (DEFAULT_SPEC.rows.count, len(DEFAULT_SPEC.names))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0], extract(data))
    for row in rows[1:]:
        assert 0.1 < np.corrcoef(row, rows[0])[0, 1] < 0.999


def test_views_of_other_bytes_are_others() -> None:
    first, second = (
        extract_views(jpeg(picture(300, 260), quality=95)),
        extract_views(jpeg(picture(300, 260), quality=94)),
    )
    assert np.abs(first[0] - second[0]).mean() < np.abs(first[1] - second[1]).mean()


def test_a_mask_is_nothing_to_train_on_and_an_x_ray_with_a_wide_rim_is(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((200, 200), np.uint8)
    cv2.ellipse(mask, (70, 100), (30, 70), 0, 0, 360, 255, -1)
    for ending in (".png", ".jpg"):
        with pytest.raises(UndecodableImage, match="no greys but two, as a mask"):
            extract_views(cv2.imencode(ending, mask)[1].tobytes())
    rimmed = np.zeros((200, 200), np.uint8)
    rimmed[50:150, 50:150] = np.tile(np.arange(100, dtype=np.uint8) + 80, (100, 1))
    assert len(extract_views(cv2.imencode(".png", rimmed)[1].tobytes())) == DEFAULT_SPEC.rows.count


def test_what_is_no_image_raises_an_image_error() -> None:
    with pytest.raises(ImageError):
        extract(b"not an image")


def test_scaling_a_picture_down_first_changes_little() -> None:
    large = picture(1200, 1500)
    small = cv2.resize(large, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(describe(large), describe(small))[0, 1] > 0.98


def test_an_original_xray_and_its_224_pixel_copy_give_nearly_the_same_numbers(real_xrays: Path) -> None:
    for path in sorted((real_xrays / "chest-xray-original").glob("*/*.jpeg"))[::12]:
        copy = real_xrays / "chest-xray-224" / "train" / path.parent.name / path.name
        assert np.corrcoef(extract(path.read_bytes()), extract(copy.read_bytes()))[0, 1] > 0.97, path.name


def test_no_bit_depends_on_where_in_memory_arrays_happen_to_lie() -> None:
    data = jpeg(picture(300, 260))
    first = extract_views(data)
    held = []
    for size in np.random.default_rng(0).integers(1, 100_000, 200):
        held.append(np.empty(size, np.uint8))
        if size % 10 == 0:
            np.testing.assert_array_equal(extract_views(data), first)
