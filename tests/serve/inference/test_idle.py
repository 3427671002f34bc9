"""The predictor of the benchmarks, which does nothing, is answered for by the whole webapp."""

import pytest
from fastapi.testclient import TestClient

from benchmarks.idle import do_nothing
from benchmarks.others.model import IDLE
from registry.model.bundle import Bundle
from registry.settings import Settings
from serve.api import create_app
from serve.production.model import Holder


def test_a_webapp_whose_predictor_does_nothing_gives_its_answer(
    holder: Holder, settings: Settings, xray: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "score", Bundle.score)  # put back at the end
    do_nothing()
    with TestClient(create_app(holder, settings=settings)) as client:
        told = client.post("/predict", content=xray, headers={"Content-Type": "image/png"})
    assert (told.status_code, told.json()["probability"]) == (200, IDLE["probability"])
