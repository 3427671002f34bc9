"""What we add to Ray's own HTTP proxy: its errors become problem documents, as `serve.lifecycle.haproxy` does there.

Ray's proxy answers by itself where no replica does: 404 until the application has a route, 500 where a replica ended
with the request, 408 and 503 where it gives up. All of them mean that a later try can succeed.
"""

import logging
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.http.headers import REQUEST_ID, REQUEST_ID_HEADER, SAFE
from serve.http.problems import MEDIA_TYPE
from serve.lifecycle.refusals import NO_REPLICA, PAGE, refusal
from serve.page.no_replica import waiting_page

log = logging.getLogger(__name__)

# Ray reads this variable, calls the function that it names in the proxy's process, and installs what it returns.
ENVIRONMENT: Mapping[str, str] = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": f"{__name__}:middlewares"}

_OWN_PATHS = "/-/"  # Ray's own probes, which nobody but Ray reads


def middlewares() -> list[Middleware]:
    """The middleware for Ray's proxy."""
    return [Middleware(ProxyProblems)]


class ProxyProblems:
    """Replaces every error that no replica sent, and an answer that never begins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OWN_PATHS):
            await self.app(scope, receive, send)
            return
        begun = replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal begun, replaced
            if message["type"] == "http.response.start":
                replaced = _is_foreign_error(message)
                begun = not replaced
            if not replaced:
                await send(message)

        try:
            await self.app(scope, receive, send_or_replace)
        except Exception:
            if begun:
                raise
            log.exception("Ray's proxy failed.")
        if not begun:
            request_id = _request_id(scope)
            answer = (
                waiting_page(request_id=request_id)
                if scope["method"] == "GET" and PAGE in Headers(scope=scope).get("accept", "")
                else refusal(NO_REPLICA, request_id=request_id)
            )
            await answer(scope, receive, send)


def _is_foreign_error(start: Message) -> bool:
    """Whether it is an error that no replica sent: theirs are problem documents, or pages with the headers of ours."""
    headers = Headers(raw=start["headers"])
    ours = headers.get("content-type", "").startswith(MEDIA_TYPE) or all(name in headers for name in SAFE)
    return start["status"] >= 400 and not ours


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
