"""The middleware in Ray's own proxy, before applications that answer as Ray does."""

import httpx
import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.http.headers import SAFE
from serve.http.problems import problem, respond
from serve.lifecycle.ray_proxy import ProxyProblems

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ask(app: ASGIApp, path: str = "/predict", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=ProxyProblems(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        return await client.post(path, content=b"picture", headers=headers)


async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """What Ray's proxy does when a replica ends with the request."""


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("what nobody foresaw")


FOREIGN = [
    PlainTextResponse("Path '/predict' not found. Ping http://.../-/routes for available routes.", status_code=404),
    PlainTextResponse("Internal Server Error", status_code=500),
    PlainTextResponse("Request dropped due to backpressure", status_code=503),
    PlainTextResponse("Request timed out", status_code=408),
    says_nothing,
    fails,
]


@pytest.mark.parametrize("app", FOREIGN, ids=["no route", "killed", "full", "late", "silent", "failed"])
async def test_what_no_replica_answered_is_a_problem_with_a_time_to_come_back(app: ASGIApp) -> None:
    answer = await ask(app, **{"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (503, "no-replica")
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers.get_list("x-request-id") == [answer.json()["request_id"]] == ["mine"]
    assert {name: answer.headers[name] for name in SAFE} == SAFE


async def test_a_browser_gets_a_page_that_looks_again_with_the_same_status() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=ProxyProblems(says_nothing))) as client:
        answer = await client.get("http://server/", headers={"Accept": "text/html,*/*", "X-Request-ID": "mine"})
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-request-id"] == "mine"
    assert 'http-equiv="refresh"' in answer.text


async def test_an_id_that_is_no_plain_one_is_not_repeated() -> None:
    answer = await ask(says_nothing, **{"X-Request-ID": "<script>"})
    assert "script" not in answer.text
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"label": "NORMAL"}),
        respond(problem("no-model", "None is loaded.", request_id="r")),
        respond(problem("not-found", "Nothing is here.", request_id="r")),
        respond(problem("internal-error", "A fault.", request_id="r")),
        HTMLResponse("<p>This is no chest X-ray.</p>", status_code=422, headers=dict(SAFE)),
    ],
    ids=["answer", "no-model", "not-found", "internal-error", "refusal on the page"],
)
async def test_what_a_replica_answered_passes_unchanged(answer: Response) -> None:
    passed = await ask(answer)
    assert (passed.status_code, passed.content) == (answer.status_code, bytes(answer.body))
    assert passed.headers["content-type"] == answer.headers["content-type"]


async def test_rays_own_probes_pass_unchanged() -> None:
    answer = await ask(PlainTextResponse("draining", status_code=503), "/-/healthz")
    assert (answer.status_code, answer.text) == (503, "draining")
