"""What is refused and what is not: X-rays of fresh patients, drawn pictures, and real ones that no fitting saw."""

import numpy as np
import pytest

from features.reading.errors import ImageError, NotAChestXray
from registry.model.bundle import Bundle
from tests.behaviour.conftest import pixels_of, png_of
from tests.behaviour.not_xrays import KINDS, generated, packaged

TURNED = {
    "inverted": lambda pixels: 255 - pixels,
    "upside down": lambda pixels: pixels[::-1, ::-1],
    "on its left": np.rot90,
    "on its right": lambda pixels: np.rot90(pixels, 3),
}


def refused(model: Bundle, images: list[bytes]) -> float:
    """The share of pictures that get no answer because they are no chest X-rays."""
    return float(np.mean([_is_refused(model, image) for image in images]))


def _is_refused(model: Bundle, image: bytes) -> bool:
    try:
        model.examine(image)
    except NotAChestXray:
        return True
    except ImageError as error:
        raise AssertionError(f"a picture of the tests is refused for another reason: {error}") from error
    return False


@pytest.fixture(scope="module")
def strangers() -> dict[str, list[bytes]]:
    return packaged()


def test_x_rays_of_fresh_patients_are_answered_nearly_all_without_a_doubt(model, fresh):
    assert refused(model, fresh[0]) <= 0.02
    doubts = [len(model.examine(image).doubts) for image in fresh[0] if not _is_refused(model, image)]
    assert np.mean(np.array(doubts) > 0) <= 0.12


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_pictures_of_every_kind_are_refused(model, kind):
    assert refused(model, generated(kind, 20)) >= 0.95


def test_real_pictures_that_no_fitting_saw_are_refused_whatever_package_they_come_from(model, strangers):
    for name, images in strangers.items():
        assert len(images) >= 15, name
        assert refused(model, images) >= 0.95, name


@pytest.mark.parametrize("change", TURNED)
def test_an_x_ray_that_is_inverted_or_turned_is_refused(model, fresh, change):
    assert refused(model, [png_of(TURNED[change](pixels_of(image))) for image in fresh[0][:40]]) >= 0.95


def test_what_another_machine_makes_of_an_x_ray_is_not_refused(model, fresh):
    images = [pixels_of(image) for image in fresh[0][:40]]
    for changed in ([pixels * 0.8 + 20 for pixels in images], [255.0 * (pixels / 255.0) ** 1.2 for pixels in images]):
        assert refused(model, [png_of(pixels) for pixels in changed]) <= 0.05


def test_a_model_of_real_x_rays_answers_originals_and_refuses_everything_else(real_model, real_xrays, strangers):
    originals = [path.read_bytes() for path in sorted((real_xrays / "chest-xray-original").rglob("*.jpeg"))]
    assert refused(real_model, originals) <= 0.01
    others = {**strangers, **{kind: generated(kind, 10) for kind in KINDS}}
    others |= {name: [png_of(change(pixels_of(x))) for x in originals[::6]] for name, change in TURNED.items()}
    for name, images in others.items():
        assert refused(real_model, images) >= 0.95, name
