"""Answers near the threshold: told with a warning, or, by a setting, not given."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from registry.settings import Settings
from serve.api import create_app
from serve.production.model import Holder, Served
from tests.serve.support.models import GeneratedXrays

RAW = {"Content-Type": "image/jpeg"}
JSON = {**RAW, "Accept": "application/json"}


@pytest.fixture
def near(model: Served, training_set: GeneratedXrays) -> Holder:
    """A model to which its answer for the first X-ray is near the threshold, and no other one."""
    probability = model.bundle.score(training_set.images[0]).probability
    bundle = replace(model.bundle, unsure=(probability - 1e-6, probability + 1e-6))
    return Holder(served=replace(model, bundle=bundle))


@pytest.fixture
def warning(near: Holder, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(near, settings=settings)) as client:
        yield client


@pytest.fixture
def abstaining(near: Holder, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(near, settings=settings.model_copy(update={"abstain": "near-threshold"}))) as client:
        yield client


def test_an_answer_near_the_threshold_says_so_and_others_do_not(
    warning: TestClient, near: Holder, training_set: GeneratedXrays
) -> None:
    first, second = (warning.post("/predict", content=image, headers=RAW).json() for image in training_set.images[:2])
    assert [told["code"] for told in first["warnings"]] == ["near-threshold"]
    assert second["warnings"] == []
    assert near.served
    assert tuple(warning.get("/model").json()["unsure"]) == pytest.approx(near.served.bundle.unsure)
    page = warning.post("/?lang=pt", files=[("file", ("a.jpeg", training_set.images[0]))]).text
    assert "perto do limiar" in page


def test_where_the_setting_says_so_no_such_answer_is_given(
    abstaining: TestClient, training_set: GeneratedXrays
) -> None:
    for route in ("/predict", "/explain"):
        refused = abstaining.post(route, content=training_set.images[0], headers=JSON)
        assert (refused.status_code, refused.json()["code"]) == (422, "unsure")
        assert "probability" not in refused.json()
        assert abstaining.post(route, content=training_set.images[1], headers=JSON).status_code == 200
    parts = [("file", (f"{index}.jpeg", image)) for index, image in enumerate(training_set.images[:2])]
    results = abstaining.post("/predict", files=parts).json()["results"]
    assert [result.get("code") for result in results] == ["unsure", None]
    page = abstaining.post("/?lang=en", files=[("file", ("a.jpeg", training_set.images[0]))])
    assert (page.status_code, "too close to the threshold" in page.text) == (422, True)
