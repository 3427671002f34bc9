"""ASGI middleware for the headers of every answer: a request id, and what browsers and caches may do with it."""

import re
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID_HEADER = "X-Request-ID"
STARTED_HEADER = "X-Request-Start"  # when a proxy took the request, as `t=` and milliseconds since 1970
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CACHE = b"cache-control"
NO_STORE = "no-store"
SAFE: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def in_place_of_a_replica(request_id: str = "") -> dict[str, str]:
    """The headers that every answer of a replica has, for an answer that another process gives in its place."""
    return {"Cache-Control": NO_STORE, **SAFE} | ({REQUEST_ID_HEADER: request_id} if request_id else {})


def media_type_of(headers: Mapping[str, str]) -> str:
    """The media type of a body in small letters, without its parameters; empty where none is told."""
    return headers.get("content-type", "").split(";")[0].strip().lower()


class RequestId:
    """Gives each request an id, the client's own where it is a plain one, and returns it as `X-Request-ID`.

    `echoed` says that a proxy in front returns the id that the request came with, as Ray Serve's does: then it is not
    returned twice.
    """

    def __init__(self, app: ASGIApp, *, echoed: bool = False) -> None:
        self.app = app
        self.echoed = echoed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start" and not (self.echoed and given == request_id):
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)


class SafeHeaders:
    """Tells browsers to run, frame and guess nothing beyond our own files, and caches to keep no answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._raw = [(name.lower().encode(), value.encode()) for name, value in SAFE.items()]
        self._no_store = NO_STORE.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *self._raw]
                if all(name != _CACHE for name, _ in headers):
                    headers.append((_CACHE, b"no-cache" if scope["path"].startswith("/static/") else self._no_store))
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, send_safely)
