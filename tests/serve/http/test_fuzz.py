"""Requests and pictures that nobody thought of: whatever comes, the answer is one that the description names."""

import contextlib
import re
from collections.abc import Iterator

import cv2
import httpx
import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from registry.settings import Settings
from registry.state import open_state
from serve.api import create_app
from serve.http.problems import MEDIA_TYPE
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Holder, Served
from tests.serve.support.live import running
from tests.serve.support.malformed import malformed
from tests.serve.support.models import GeneratedXrays

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
QUICK, LONG = 20, 500
ANSWERS = {200, 400, 408, 413, 415, 422}


@pytest.fixture(scope="module")
def url(model: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    metrics, folder = Metrics(), tmp_path_factory.mktemp("memory")
    recorder = PredictionRecorder(lambda: open_state(str(folder)), metrics)
    app = create_app(Holder(served=model), settings=Settings(), metrics=metrics, recorder=recorder)
    with running(app) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def bounded(examples: int) -> hypothesis.settings:
    """Enough to find what is easily found, the same each time; no deadline, since a shared machine stalls."""
    every = list(hypothesis.HealthCheck)
    return hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=every
    )


def explore(url: str, examples: int) -> list[str]:
    """Call every described route with what its description allows and with what it forbids; return the routes."""
    seen = []
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                cases = operation.as_strategy(generation_mode=mode)
            except Unsatisfiable:
                continue  # nothing can be wrong with a request that has no parts

            @bounded(examples)
            @hypothesis.given(case=cases)
            def answers(case: schemathesis.Case) -> None:
                case.call_and_validate(checks=CHECKS)

            with contextlib.suppress(Unsatisfiable):
                answers()
        seen.append(operation.label)
    return seen


def test_every_route_answers_as_it_is_described(url: str, client: httpx.Client) -> None:
    seen = explore(url, QUICK)
    asked = re.findall(r'^hm_requests_total{method="POST",route="/predict".* (\S+)$', client.get("/metrics").text, re.M)
    assert sum(map(float, asked)) >= QUICK
    assert {"POST /predict", "POST /explain", "POST /predictions/{prediction_id}/feedback", "GET /model"} <= set(seen)


@pytest.mark.long
def test_every_route_answers_as_it_is_described_at_length(url: str) -> None:
    explore(url, LONG)


def check(client: httpx.Client, body: bytes, media_type: str, route: str) -> None:
    answer = client.post(route, content=body, headers={"Content-Type": media_type})
    assert answer.status_code in ANSWERS, (answer.status_code, answer.text)
    if answer.status_code == 200 and route == "/predict":
        assert 0 <= answer.json()["probability"] <= 1
    if answer.status_code != 200:
        assert answer.headers["content-type"] == MEDIA_TYPE


def mutate(base: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    """A file with pieces of it replaced."""
    data = bytearray(base)
    for place, length, piece in cuts:
        start = place % (len(data) + 1)
        data[start : start + length] = piece
    return bytes(data)


CUTS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=8)
TYPES = st.sampled_from(["image/jpeg", "image/png", "application/dicom", "application/octet-stream"])
ROUTES = st.sampled_from(["/predict", "/explain"])


def fuzz(client: httpx.Client, training_set: GeneratedXrays, examples: int) -> None:
    """Cut and mend JPEG, PNG and multipart bodies in the way Hypothesis likes, and send each."""
    jpeg = training_set.images[0]
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    png = cv2.imencode(".png", grey)[1].tobytes()
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + jpeg + b"\r\n--b--\r\n"

    @bounded(examples)
    @hypothesis.given(base=st.sampled_from([jpeg, png]), cuts=CUTS, media_type=TYPES, route=ROUTES)
    def pictures(base: bytes, cuts: list[tuple[int, int, bytes]], media_type: str, route: str) -> None:
        check(client, mutate(base, cuts), media_type, route)

    @bounded(examples)
    @hypothesis.given(cuts=CUTS, near=st.booleans(), route=ROUTES)
    def forms(cuts: list[tuple[int, int, bytes]], near: bool, route: str) -> None:
        # Half of the cuts fall into the form's own lines, which are a hundred bytes of thousands.
        places = [(place % 100, length, piece) for place, length, piece in cuts] if near else cuts
        check(client, mutate(form, places), "multipart/form-data; boundary=b", route)

    pictures()
    forms()


def test_mutated_uploads_meet_no_fault_of_the_server(client: httpx.Client, training_set: GeneratedXrays) -> None:
    fuzz(client, training_set, 150)


@pytest.mark.long
def test_mutated_uploads_meet_no_fault_of_the_server_at_length(
    client: httpx.Client, training_set: GeneratedXrays
) -> None:
    fuzz(client, training_set, 10_000)
    for body, media_type in malformed(training_set.images, 10_000, seed=7):
        for route in ("/predict", "/explain"):
            check(client, body, media_type, route)
