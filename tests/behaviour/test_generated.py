"""What a model must do whatever its numbers are: ignore what is not disease, answer to what is, tell fresh ones apart.

After Ribeiro et al., 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList", ACL.
"""

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.behaviour.conftest import pixels_of, png_of
from tests.tolerances import ANSWER


def _brighter(pixels: np.ndarray) -> bytes:
    return png_of(pixels + 15.0)


def _darker(pixels: np.ndarray) -> bytes:
    return png_of(pixels - 15.0)


def _flatter(pixels: np.ndarray) -> bytes:
    return png_of((pixels - 128.0) * 0.8 + 128)


def _steeper(pixels: np.ndarray) -> bytes:
    return png_of((pixels - 128.0) * 1.1 + 128)


def _compressed_again(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()


def _twice_the_size(pixels: np.ndarray) -> bytes:
    return png_of(cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))


def _of_16_bit(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes()


@pytest.mark.parametrize(
    "change", [_brighter, _darker, _flatter, _steeper, _compressed_again, _twice_the_size, _of_16_bit]
)
def test_what_is_not_disease_changes_the_probability_little(model, fresh, change):
    images = fresh[0][:60]
    moved = np.abs(
        model.predict_unchecked([change(pixels_of(image)) for image in images]) - model.predict_unchecked(images)
    )
    assert moved.mean() < 0.08
    assert np.quantile(moved, 0.9) < 0.2


def test_a_grey_picture_stored_in_colour_is_the_same_picture(model, fresh):
    images = fresh[0][:10]
    coloured = [
        cv2.imencode(".png", cv2.cvtColor(pixels_of(image), cv2.COLOR_GRAY2BGR))[1].tobytes() for image in images
    ]
    np.testing.assert_array_equal(model.predict_unchecked(coloured), model.predict_unchecked(images))


@pytest.mark.parametrize("across", [0.30, 0.70], ids=["right lung", "left lung"])
def test_an_opacity_in_a_lung_raises_the_probability_of_nearly_every_normal_picture(model, fresh, across):
    normal = [image for image, label in zip(*fresh, strict=True) if label == 0][:30]
    before = model.predict_unchecked(normal)
    after = model.predict_unchecked([_with_opacity(pixels_of(image), across) for image in normal])
    assert np.mean(after > before) > 0.9
    assert np.mean(after - before) > 0.2


def _with_opacity(pixels: np.ndarray, across: float) -> bytes:
    """A ragged white patch of about a fifth of the chest's width."""
    down, right = np.mgrid[: pixels.shape[0], : pixels.shape[1]] / pixels.shape[0]
    patch = np.exp(-(((right - across) / 0.09) ** 2 + ((down - 0.5) / 0.12) ** 2) / 2)
    ragged = cv2.GaussianBlur(np.random.default_rng(0).standard_normal(pixels.shape), (0, 0), 5)
    return png_of(pixels + 50 * patch * (1 + 0.3 * ragged / ragged.std()))


def test_fresh_patients_are_told_apart(model, fresh):
    images, labels = fresh
    assert roc_auc_score(labels, model.predict_unchecked(images)) >= 0.85


def test_probabilities_are_calibrated_on_the_whole(model, fresh):
    images, labels = fresh
    assert abs(model.predict_unchecked(images).mean() - labels.mean()) < 0.1


def test_the_order_and_company_of_pictures_change_no_answer(model, fresh):
    images = fresh[0][:8]
    together = model.predict_unchecked(images)
    np.testing.assert_allclose(model.predict_unchecked(images[::-1])[::-1], together, atol=ANSWER)
    np.testing.assert_allclose([model.predict_unchecked([image])[0] for image in images], together, atol=ANSWER)
