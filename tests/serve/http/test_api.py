"""The application by itself, over a model that is given: answers, problems, limits and headers."""

import asyncio
import json
import math
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from registry.settings import Settings
from serve.api import create_app
from serve.http.limits import BoundedBody, RequestLimits
from serve.http.problems import KINDS
from serve.load import Load
from serve.production.model import Holder, Served, SwapFailure
from tests.serve.support.gate import Gate, in_work
from tests.serve.support.loop import run
from tests.serve.support.malformed import png_of
from tests.serve.support.models import JPEG, GeneratedXrays
from tests.tolerances import ANSWER

MIB = 2**20


@pytest.fixture
def client(holder: Holder, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(holder, settings=settings), raise_server_exceptions=False) as client:
        yield client


def jpeg_part(data: bytes, name: str = "xray.jpeg") -> tuple[str, tuple[str, bytes, str]]:
    return ("file", (name, data, "image/jpeg"))


def test_one_picture_in_a_form_gets_the_models_own_probability(client: TestClient, model: Served, xray: bytes) -> None:
    answer = client.post("/predict", files=[jpeg_part(xray)])
    body = answer.json()
    expected = float(model.bundle.predict_unchecked([xray])[0])
    assert answer.status_code == 200
    assert body["probability"] == pytest.approx(expected, abs=ANSWER)
    assert body["label"] == ("PNEUMONIA" if expected >= 0.5 else "NORMAL")
    assert body["threshold"] == 0.5
    assert body["model"] == {"name": "pneumonia", "version": 7, "run_id": "run-7"}
    assert body["filename"] == "xray.jpeg"
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "application/dicom", "application/octet-stream"])
def test_a_raw_body_gets_the_same_answer_as_a_form(client: TestClient, xray: bytes, media_type: str) -> None:
    raw = client.post("/predict", content=xray, headers={"Content-Type": media_type}).json()
    form = client.post("/predict", files=[jpeg_part(xray)]).json()
    assert raw["probability"] == form["probability"]
    assert "filename" not in raw


def test_several_pictures_get_an_answer_or_a_problem_each_in_order(
    client: TestClient, training_set: GeneratedXrays
) -> None:
    parts = [jpeg_part(training_set.images[0], "a.jpeg"), jpeg_part(b"no picture", "b.jpeg")]
    parts.append(jpeg_part(training_set.images[1], "c.jpeg"))
    answer = client.post("/predict", files=parts)
    body = answer.json()
    assert answer.status_code == 200
    assert [result["filename"] for result in body["results"]] == ["a.jpeg", "b.jpeg", "c.jpeg"]
    assert [result.get("status") for result in body["results"]] == [None, 415, None]
    assert body["model"]["version"] == 7


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "undecodable-image"),
        (b"GIF89a" + bytes(40), 415, "unsupported-image"),
        (b"\xff\xd8\xff\xe0" + bytes(60), 422, "undecodable-image"),
        (png_of(30_000, 30_000), 413, "image-too-large"),
    ],
    ids=["empty", "gif", "cut", "bomb"],
)
def test_a_picture_that_cannot_be_read_is_a_problem_by_name(
    client: TestClient, content: bytes, status: int, code: str
) -> None:
    answer = client.post("/predict", files=[jpeg_part(content)])
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/docs#{code}"


def test_problems_name_what_is_wrong_with_the_request(client: TestClient, xray: bytes) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    cases = [
        (client.post("/predict", content=xray, headers={"Content-Type": "text/plain"}), 415, "unsupported-media-type"),
        (client.post("/predict", content=xray), 415, "unsupported-media-type"),
        (client.post("/predict", content=b"--y\r\nnonsense", headers=form), 400, "malformed-form"),
        (client.post("/predict", content=b"", headers={"Content-Type": "multipart/form-data"}), 400, "malformed-form"),
        (client.post("/predict", files=[("picture", ("a.png", xray))]), 422, "no-file"),
        (client.post("/predict", files=[jpeg_part(b"x")] * 65), 413, "too-many-files"),
        (client.get("/nowhere"), 404, "not-found"),
        (client.get("/predict"), 405, "method-not-allowed"),
        (client.post("/predict/", files=[jpeg_part(xray)]), 404, "not-found"),
    ]
    for answer, status, code in cases:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_was_nearly_right_is_told_with_what_to_send_instead(client: TestClient, xray: bytes) -> None:
    somewhere = "/predictions/0192f0c1-2b3a-7c4d-8e5f-001122334455/feedback"
    json_type = {"Content-Type": "application/json"}
    cases = {
        "it has 'picture'. Choose": client.post("/predict", files=[("picture", ("a.png", xray))]),
        "file=@xray.jpeg": client.post("/predict", files=[("file", (None, "abc"))]),
        "it takes POST": client.get("/predict"),
        "/docs describes": client.get("/nowhere"),
        "send application/json": client.post(somewhere, data={"label": "NORMAL"}),
        "not valid JSON": client.post(somewhere, content=b'{"label":"NORMAL"', headers=json_type),
        "no prediction's id": client.post("/predictions/ID/feedback", json={"label": "NORMAL"}),
    }
    for words, answer in cases.items():
        assert answer.status_code in (404, 405, 422)
        assert words in answer.json()["detail"]


def test_a_model_of_generated_pictures_has_an_example_that_it_answers_and_another_has_none(
    holder: Holder, settings: Settings
) -> None:
    client = TestClient(create_app(holder, settings=settings))
    assert (client.get("/example").status_code, client.get("/example").json()["code"]) == (404, "no-example")
    assert holder.served
    evaluation = {"data": {"kind": "generated"}}
    holder.served = replace(holder.served, bundle=replace(holder.served.bundle, evaluation=evaluation))
    example = client.get("/example")
    assert example.headers["content-type"] == "image/jpeg"
    assert client.post("/predict", content=example.content, headers=JPEG).status_code == 200


@pytest.mark.parametrize("chunked", [True, False])
def test_a_request_beyond_the_limit_is_refused_also_when_it_announces_no_length(
    holder: Holder, settings: Settings, chunked: bool
) -> None:
    client = TestClient(create_app(holder, settings=settings, limits=RequestLimits(body_bytes=MIB)))
    pieces = [bytes(MIB // 4)] * 7
    content = iter(pieces) if chunked else b"".join(pieces)
    answer = client.post("/predict", content=content, headers=JPEG)
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    at_limit = client.post("/predict", content=bytes(MIB), headers=JPEG)
    assert at_limit.status_code == 415


def test_uploads_beyond_the_memory_set_aside_are_turned_away_and_the_memory_is_given_back(
    holder: Holder, settings: Settings, xray: bytes
) -> None:
    client = TestClient(create_app(holder, settings=settings, limits=RequestLimits(buffered_bytes=len(xray))))
    for _ in range(3):
        assert client.post("/predict", content=xray, headers=JPEG).status_code == 200
        refused = client.post("/predict", content=xray + b"\0", headers=JPEG)
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) > 0


def test_an_upload_is_in_memory_once() -> None:
    load, held = Load(), list[int]()
    tracemalloc.start()
    pieces = [{"type": "http.request", "body": bytes(MIB), "more_body": index < 7} for index in range(8)]

    async def receive() -> Message:
        return pieces.pop(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        held.extend((load.buffered_bytes.value, tracemalloc.get_traced_memory()[0]))
        assert len((await receive())["body"]) == 8 * MIB

    async def nothing(*_: object) -> None:
        raise AssertionError

    try:
        run(BoundedBody(app, RequestLimits(), load)({"type": "http", "method": "POST"}, receive, nothing))
    finally:
        tracemalloc.stop()
    assert held[0] == 8 * MIB
    assert held[1] < 9 * MIB


def test_head_is_answered_as_get_is_without_the_body(client: TestClient) -> None:
    for path in ("/", "/healthz", "/readyz", "/model", "/docs", "/metrics", "/openapi.json"):
        head, whole = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert client.head("/nowhere").status_code == 404
    assert client.head("/predict").status_code == 405


def test_the_memory_of_an_upload_that_is_cancelled_is_given_back() -> None:
    load = Load()
    pieces = iter([{"type": "http.request", "body": bytes(MIB), "more_body": True}])

    async def receive() -> Message:
        return next(pieces, None) or await asyncio.Event().wait()

    async def nothing(*_: object) -> None:
        raise AssertionError

    async def upload() -> None:
        body = BoundedBody(nothing, RequestLimits(), load)
        running = asyncio.create_task(body({"type": "http", "method": "POST"}, receive, nothing))
        while load.buffered_bytes.value < MIB:
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])

    run(upload())
    assert load.buffered_bytes.value == 0


@pytest.mark.parametrize(
    "limits",
    [RequestLimits(in_work=2, wait_s=0), RequestLimits(in_work=1, wait_s=60, in_work_at_most=2)],
    ids=["where they wait too long", "however short they wait"],
)
def test_more_requests_than_the_server_takes_on_are_turned_away_at_once_with_a_time_to_come_back(
    model: Served, settings: Settings, xray: bytes, limits: RequestLimits
) -> None:
    gate = Gate(model)
    holder = Holder(served=replace(model, bundle=gate))  # type: ignore[arg-type]
    with TestClient(create_app(holder, settings=settings, limits=limits, threads=2)) as client:

        def post() -> int:
            return client.post("/predict", content=xray, headers=JPEG).status_code

        with in_work(gate, post, requests=2) as answered:
            refused = client.post("/predict", content=xray, headers=JPEG)
            assert client.get("/healthz").status_code == 200
        assert post() == 200
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) > 0
    assert answered == [200, 200]


def test_an_answer_under_way_stays_with_the_model_that_it_began_with(
    model: Served, settings: Settings, xray: bytes
) -> None:
    gate = Gate(model)
    holder = Holder(served=replace(model, bundle=gate))  # type: ignore[arg-type]
    with TestClient(create_app(holder, settings=settings)) as client:

        def post() -> httpx.Response:
            return client.post("/predict", files=[jpeg_part(xray)])

        with in_work(gate, post, requests=1) as answers:
            holder.served = replace(model, version=replace(model.version, version=8))
        later = post().json()
    assert answers[0].json()["model"]["version"] == 7
    assert later["model"]["version"] == 8


class Broken:
    """An estimator that gives what JSON cannot carry, or fails."""

    def __init__(self, result: Callable[[], np.ndarray]) -> None:
        self._result = result

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self._result()


def _fail() -> np.ndarray:
    raise ZeroDivisionError("what nobody foresaw")


@pytest.mark.parametrize("result", [lambda: np.full((1, 2), math.nan), _fail], ids=["nan", "exception"])
def test_what_breaks_a_prediction_is_a_problem_of_the_picture_and_never_nan(
    model: Served, settings: Settings, xray: bytes, result: Callable[[], np.ndarray]
) -> None:
    bundle = replace(model.bundle, estimator=Broken(result))  # type: ignore[arg-type]
    holder = Holder(served=replace(model, bundle=bundle))
    answer = TestClient(create_app(holder, settings=settings)).post("/predict", files=[jpeg_part(xray)])
    assert answer.status_code == 422
    assert "NaN" not in answer.text
    assert "foresaw" not in answer.text


def test_without_a_model_the_server_is_alive_but_not_ready_and_says_what_to_do(settings: Settings, xray: bytes) -> None:
    failure = SwapFailure(
        code="no-production-version", version=None, detail="No version.", remedy="Train one.", since=datetime.now(UTC)
    )
    client = TestClient(create_app(Holder(failure=failure), settings=settings))
    assert client.get("/healthz").json() == {"status": "alive"}
    for answer in (client.get("/readyz"), client.get("/model"), client.post("/predict", files=[jpeg_part(xray)])):
        assert (answer.status_code, answer.json()["code"]) == (503, "no-model")
        assert answer.json()["detail"] == "No version. Train one."
        assert int(answer.headers["retry-after"]) > 0
    assert client.get("/").status_code == 200


def test_the_model_card_tells_version_digest_numbers_and_the_last_failure(
    client: TestClient, holder: Holder, model: Served
) -> None:
    holder.failure = SwapFailure(
        code="refused", version=8, detail="Version 8 is refused.", remedy="Go back.", since=datetime.now(UTC)
    )
    holder.served = replace(model, bundle=replace(model.bundle, evaluation={"auc": math.nan, "n": 3}))
    card = client.get("/model").json()
    assert card["version"] == 7
    assert card["digest"] == model.version.digest
    assert card["evaluation"] == {"auc": None, "n": 3}
    assert card["spec_fingerprint"] == model.bundle.spec.fingerprint
    assert card["failure"]["code"] == "refused"
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_request_id_of_the_client_is_kept_if_it_is_plain_and_replaced_if_not(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    for bad in ("a b", "x" * 65, "<script>"):
        assert client.get("/healthz", headers={"X-Request-ID": bad}).headers["x-request-id"] != bad


def test_a_file_name_comes_back_without_control_characters_and_bounded(client: TestClient, xray: bytes) -> None:
    body = client.post("/predict", files=[jpeg_part(xray, "a\u202eb" + "x" * 400 + ".jpeg")]).json()
    assert len(body["filename"]) == 255
    assert "\u202e" not in body["filename"]


def test_every_answer_forbids_framing_sniffing_and_foreign_code(client: TestClient) -> None:
    for path in ("/", "/docs", "/model", "/static/page.js", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_the_description_lists_every_route_and_each_status_that_problems_have(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        *("/predict", "/explain", "/example", "/model", "/model/card", "/healthz", "/readyz", "/metrics"),
        *("/predictions/{prediction_id}/feedback", "/feedback", "/feedback.csv"),
    }
    described = {int(status) for status in document["paths"]["/predict"]["post"]["responses"]}
    assert {kind.status for code, kind in KINDS.items()} - described == {401, 403, 404, 405, 500}
    assert "multipart/form-data" in json.dumps(document["paths"]["/predict"]["post"]["requestBody"])
    feedback = document["paths"]["/predictions/{prediction_id}/feedback"]["post"]["responses"]
    assert feedback["422"]["description"] == KINDS["invalid-request"].title  # nothing about pictures
    assert document["paths"]["/example"]["get"]["responses"]["404"]["description"] == KINDS["no-example"].title
