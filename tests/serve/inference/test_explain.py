"""`POST /explain` and out-of-distribution pictures, over the application by itself."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from registry.settings import Settings
from serve.api import create_app
from serve.http.limits import RequestLimits
from serve.inference.explain import GRID, windows
from serve.inference.overlay import overlay
from serve.metrics import Metrics
from serve.production.model import Holder, Served
from tests.behaviour.not_xrays import generated
from tests.serve.support.gate import Gate, in_work

RAW = {"Content-Type": "image/jpeg"}
JSON = {**RAW, "Accept": "application/json"}


@pytest.fixture
def client(holder: Holder, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(holder, settings=settings), raise_server_exceptions=False) as client:
        yield client


def grey_of(image: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)


def test_the_overlay_is_the_picture_with_colour_where_evidence_is(client: TestClient, xray: bytes) -> None:
    answer = client.post("/explain", content=xray, headers=RAW)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-model-version"] == "7"
    assert answer.headers["x-request-id"]
    drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert drawn.shape == (*grey_of(xray).shape, 3)
    coloured = np.ptp(drawn, axis=2) > 8
    grid = np.array(client.post("/explain", content=xray, headers=JSON).json()["contributions"])
    down, right = (np.array(np.unravel_index(grid.argmax(), grid.shape)) + 0.5) / GRID
    assert coloured[int(down * coloured.shape[0]), int(right * coloured.shape[1])]
    assert not coloured.all()
    # What has a spread of at most 8 levels counts as uncoloured, so its mean may be as far from the grey below.
    np.testing.assert_allclose(drawn[~coloured].mean(axis=1), grey_of(xray)[~coloured], atol=8)


def test_the_numbers_come_with_the_answer_that_a_prediction_gives(client: TestClient, xray: bytes) -> None:
    explained = client.post("/explain", files=[("file", ("a.jpeg", xray))], headers={"Accept": "application/json"})
    body, predicted = explained.json(), client.post("/predict", files=[("file", ("a.jpeg", xray))]).json()
    for name in ("label", "probability", "threshold", "model", "filename", "warnings"):
        assert body[name] == predicted[name]
    assert np.array(body["contributions"]).shape == (GRID, GRID)
    assert body["request_id"] == explained.headers["x-request-id"]


def test_a_contribution_is_the_fall_of_the_log_odds_when_a_region_is_like_that_of_normal_pictures(
    client: TestClient, model: Served, xray: bytes
) -> None:
    bundle = model.bundle
    examined = bundle.score(xray).examined
    features = examined.features.astype(float)
    window = windows(bundle.spec, examined.looked.frame)[GRID * 5 + 9]
    changed = features + window * (bundle.detector.normal - features)
    before, after = bundle.probability(np.stack([features, changed]))
    fall = np.log(before / (1 - before)) - np.log(after / (1 - after))
    body = client.post("/explain", content=xray, headers=JSON).json()
    # As answers, over p (1 − p), which log-odds are the more sensitive by.
    assert body["contributions"][5][9] == pytest.approx(fall, abs=1e-6)


@pytest.mark.parametrize("kind", ["hand", "document", "blank"])
def test_what_is_no_chest_x_ray_gets_the_same_problem_from_both_routes(client: TestClient, kind: str) -> None:
    (picture,) = generated(kind, 1)
    for path in ("/predict", "/explain"):
        answer = client.post(path, content=picture, headers={"Content-Type": "image/png"})
        assert (answer.status_code, answer.json()["code"]) == (422, "not-a-chest-xray")
        assert answer.json()["detail"].startswith("the picture ")
        assert answer.json()["reason"] == ("blank" if kind == "blank" else "no-lungs")
        assert answer.headers["content-type"] == "application/problem+json"


def test_of_several_pictures_the_one_that_is_no_x_ray_has_its_problem(client: TestClient, xray: bytes) -> None:
    parts = [("file", ("a.jpeg", xray)), ("file", ("b.png", generated("scene", 1)[0]))]
    results = client.post("/predict", files=parts).json()["results"]
    assert [result.get("code") for result in results] == [None, "not-a-chest-xray"]
    assert (results[0]["warnings"], results[1]["filename"]) == ([], "b.png")


def test_an_unusual_picture_is_answered_with_a_warning(model: Served, settings: Settings, xray: bytes) -> None:
    strict = replace(model.bundle, detector=replace(model.bundle.detector, doubtful=0.0))
    client = TestClient(create_app(Holder(served=replace(model, bundle=strict)), settings=settings))
    body = client.post("/predict", content=xray, headers=RAW).json()
    assert [warning["code"] for warning in body["warnings"]] == ["unlike-training"]
    assert "unusual" in body["warnings"][0]["detail"]
    assert body["probability"] == model.bundle.score(xray).probability


def test_one_picture_at_a_time_is_explained_and_limits_hold(holder: Holder, settings: Settings, xray: bytes) -> None:
    client = TestClient(create_app(holder, settings=settings, limits=RequestLimits(body_bytes=2 * len(xray) + 4000)))
    several = client.post("/explain", files=[("file", ("a.jpeg", xray)), ("file", ("b.jpeg", xray))])
    assert (several.status_code, several.json()["code"]) == (413, "too-many-files")
    assert "one at a time" in several.json()["detail"]
    assert client.post("/explain", content=bytes(3 * len(xray) + 4000), headers=RAW).status_code == 413
    assert client.post("/explain", content=b"no picture", headers=RAW).json()["code"] == "unsupported-image"
    assert client.post("/explain", content=xray, headers={"Content-Type": "text/plain"}).status_code == 415


def test_a_picture_that_is_explained_counts_as_in_work(model: Served, settings: Settings, xray: bytes) -> None:
    gate, metrics = Gate(model), Metrics()
    limits = RequestLimits(pictures=1)
    holder = Holder(served=replace(model, bundle=gate))  # type: ignore[arg-type]
    client = TestClient(create_app(holder, settings=settings, limits=limits, metrics=metrics, threads=2))
    with in_work(gate, lambda: client.post("/explain", content=xray, headers=RAW).status_code, requests=1) as done:
        assert "hm_pictures_in_work 1.0" in metrics.render().decode()
        refused = client.post("/explain", content=xray, headers=RAW)
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert done == [200]
    assert "hm_pictures_in_work 0.0" in metrics.render().decode()


def test_without_a_model_nothing_is_explained(settings: Settings, xray: bytes) -> None:
    answer = TestClient(create_app(Holder(), settings=settings)).post("/explain", content=xray, headers=RAW)
    assert (answer.status_code, answer.json()["code"]) == (503, "no-model")


def test_a_large_picture_of_16_bits_is_shown_smaller_in_its_own_shape() -> None:
    pixels = np.full((1500, 3000), 257 * 100, np.uint16)
    drawn = cv2.imdecode(np.frombuffer(overlay(pixels, np.zeros((GRID, GRID))), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (512, 1024, 3)
    assert np.all(drawn == 100)
