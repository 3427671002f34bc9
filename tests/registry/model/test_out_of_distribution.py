"""The out-of-distribution detector: the distance by hand, each verdict, and the file."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.extract import describe_normalised
from features.look import look
from features.reading.errors import NotAChestXray
from features.spec import DEFAULT_SPEC
from registry.errors import ArtefactError
from registry.model.bundle import Bundle, digest_of, read_bundle
from registry.model.out_of_distribution import (
    MUCH_COLOUR,
    SOME_COLOUR,
    OutOfDistributionDetector,
    read_detector,
    write_detector,
)
from tests.behaviour.conftest import pixels_of, png_of


@pytest.fixture
def bundle(tmp_path: Path, make_bundle) -> Bundle:
    return read_bundle(tmp_path / "bundle", digest=make_bundle(tmp_path / "bundle"))


def flat(**changed: object) -> OutOfDistributionDetector:
    """Four features, of which the first is the only direction that the training side went into."""
    known = {
        "mean": np.array([1.0, 0.0, 0.0, 0.0]),
        "scale": np.array([1.0, 1.0, 2.0, 1.0]),
        "components": np.array([[1.0, 0.0, 0.0, 0.0]]),
        "normal": np.zeros(4),
        "doubtful": 1.0,
        "refused": 2.0,
    }
    return OutOfDistributionDetector(**known | changed)


def test_the_distance_is_what_components_leave_and_one_odd_feature_is_bounded():
    detector = flat()
    assert detector.distance(np.array([[9.0, 0.0, 0.0, 0.0]]))[0] == 0.0  # along the component
    assert detector.distance(np.array([[1.0, 3.0, 8.0, 0.0]]))[0] == pytest.approx(2.5)  # √((3² + 4²) / 4)
    assert detector.distance(np.array([[1.0, 1e9, 0.0, 0.0]]))[0] == pytest.approx(10.0)  # √(20² / 4)


def judged(bundle: Bundle, pixels: np.ndarray, colour: float = 0.0):
    looked = look(pixels, DEFAULT_SPEC)
    features = describe_normalised(looked.pictures, DEFAULT_SPEC)
    return bundle.detector.judge(pixels, looked, features, colour, DEFAULT_SPEC)


def seen(image: bytes) -> np.ndarray:
    return pixels_of(image)


def test_a_usual_x_ray_has_no_doubt_and_a_stricter_limit_makes_one(bundle, xrays):
    assert judged(bundle, seen(xrays[0][0])) == ()
    strict = replace(bundle, detector=replace(bundle.detector, doubtful=0.0))
    (doubt,) = judged(strict, seen(xrays[0][0]))
    assert doubt.code == "unlike-training"
    with pytest.raises(NotAChestXray, match=r"not like the chest X-rays .* the limit is 0\.00"):
        judged(replace(bundle, detector=replace(bundle.detector, doubtful=0.0, refused=0.0)), seen(xrays[0][0]))


def test_a_distance_that_is_no_number_is_refused(bundle, xrays):
    broken = replace(bundle, detector=replace(bundle.detector, mean=np.full(len(DEFAULT_SPEC.names), np.nan)))
    with pytest.raises(NotAChestXray):
        judged(broken, seen(xrays[0][0]))


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (lambda pixels: 255 - pixels, "inverted", "black and white exchanged; invert it"),
        (lambda pixels: pixels[::-1, ::-1], "upside-down", "upside down; turn it upright"),
        (np.rot90, "sideways", "turned on its side; turn it upright"),
        (lambda pixels: np.rot90(pixels, 3), "sideways", "turned on its side; turn it upright"),
        (lambda pixels: np.full_like(pixels, 90), "blank", "blank"),
        (lambda pixels: np.indices(pixels.shape).sum(axis=0) % 256, "no-lungs", "two lungs side by side are not found"),
    ],
    ids=["inverted", "upside down", "left", "right", "blank", "stripes"],
)
def test_the_reason_says_what_to_mend(bundle, xrays, change, reason, words):
    with pytest.raises(NotAChestXray, match=words) as refused:
        bundle.score(png_of(change(pixels_of(xrays[0][0]))))
    assert refused.value.reason == reason


def test_a_stained_picture_is_doubtful_and_a_coloured_one_refused(bundle, xrays):
    (doubt,) = judged(bundle, seen(xrays[0][0]), colour=(SOME_COLOUR + MUCH_COLOUR) / 2)
    assert doubt.code == "coloured"
    red = cv2.cvtColor(pixels_of(xrays[0][0]), cv2.COLOR_GRAY2BGR)
    red[:, :, :2] //= 2
    with pytest.raises(NotAChestXray, match="in colour"):
        bundle.score(cv2.imencode(".png", red)[1].tobytes())


def test_lungs_that_reach_a_border_are_doubtful_and_a_border_beside_them_is_not(bundle, xrays):
    pixels = seen(xrays[0][0])
    looked = look(pixels, DEFAULT_SPEC)
    features, box = describe_normalised(looked.pictures, DEFAULT_SPEC), looked.lungs.box

    def doubts(**ends: float) -> list[str]:
        framed = replace(looked, shown=looked.shown._replace(**ends))
        return [doubt.code for doubt in bundle.detector.judge(pixels, framed, features, 0.0, DEFAULT_SPEC)]

    assert doubts() == []
    for side, outwards in (("left", -1), ("top", -1), ("right", 1), ("bottom", 1)):
        end = getattr(box, side)
        assert doubts(**{side: end}) == ["lungs-at-border"], side
        assert doubts(**{side: end + 0.03 * outwards}) == [], side
    touching = replace(looked, lungs=replace(looked.lungs, box=box._replace(left=0.0)))
    assert not touching.lungs_at_border  # without a border, they only reach the rim of the picture


def test_a_scope_comes_back_from_its_file(tmp_path):
    write_detector(flat(), tmp_path / "scope.npz")
    found = read_detector(tmp_path / "scope.npz", features=4)
    assert (found.doubtful, found.refused) == (1.0, 2.0)
    for name in ("mean", "scale", "components", "normal"):
        np.testing.assert_array_equal(getattr(found, name), getattr(flat(), name))


@pytest.mark.parametrize(
    "changed",
    [
        {"mean": np.zeros(3)},
        {"components": np.zeros((1, 3))},
        {"components": np.zeros(4)},
        {"normal": np.full(4, np.nan)},
        {"scale": np.array([1.0, 0.0, 1.0, 1.0])},
        {"refused": np.inf},
    ],
    ids=["narrow", "narrow components", "flat components", "not finite", "no scale", "no limit"],
)
def test_a_scope_that_does_not_fit_the_model_is_refused(tmp_path, changed):
    write_detector(flat(**changed), tmp_path / "scope.npz")
    with pytest.raises(ArtefactError, match=r"scope\.npz does not fit a model of 4 features"):
        read_detector(tmp_path / "scope.npz", features=4)


def test_a_pickle_in_place_of_a_scope_is_refused_unread(tmp_path):
    np.savez(tmp_path / "scope.npz", mean=np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ArtefactError, match="does not say what the model was trained on"):
        read_detector(tmp_path / "scope.npz", features=4)
    (tmp_path / "scope.npz").write_bytes(b"\x80\x05cposix\nsystem\nX\x02\x00\x00\x00id\x85R.")
    with pytest.raises(ArtefactError, match="does not say what the model was trained on"):
        read_detector(tmp_path / "scope.npz", features=4)


def test_another_scope_under_the_same_card_is_refused_by_its_golden_answers(tmp_path, make_bundle):
    folder = tmp_path / "bundle"
    digest = make_bundle(folder)
    detector = read_bundle(folder, digest=digest).detector
    write_detector(replace(detector, mean=detector.mean + detector.scale), folder / "scope.npz")
    with pytest.raises(ArtefactError, match="Golden answers differ"):
        read_bundle(folder, digest=digest_of(folder))


def test_a_model_of_the_time_before_scopes_is_refused_with_the_remedy(tmp_path, make_bundle):
    folder = tmp_path / "bundle"
    make_bundle(folder)
    card = folder / "card.json"
    card.write_text(card.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(ArtefactError, match=r"format 1; this code reads 2\. Train a new version"):
        read_bundle(folder, digest=digest_of(folder))
