"""ASGI middleware that keeps the server standing: request ids, bounded bodies, bounded work, safe headers."""

import asyncio
import re
import uuid
from dataclasses import dataclass
from typing import ClassVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.problems import problem, respond

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BODILESS = {"GET", "HEAD", "OPTIONS"}
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one replica takes on.

    Attributes
    ----------
    body_bytes
        The largest request, multipart overhead and all its pictures included.
    buffered_bytes
        What all uploads in progress may hold in memory together.
    upload_s
        How long a client may take to send its request.
    in_work
        How many requests may be computed or wait for a thread; the next one is turned away at once.
    files
        How many pictures one request may hold.
    """

    body_bytes: int = 48 * _MIB
    buffered_bytes: int = 256 * _MIB
    upload_s: float = 30.0
    in_work: int = 32
    files: int = 64


def _request_id(scope: Scope) -> str:
    return str(scope["state"]["request_id"])


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
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start" and not (self.echoed and given == request_id):
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)


class SafeHeaders:
    """Tells browsers to run, frame and guess nothing beyond our own files, and caches to keep no answer."""

    _HEADERS: ClassVar[dict[str, str]] = {
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

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._HEADERS)
                headers.setdefault("Cache-Control", "no-cache" if scope["path"].startswith("/static/") else "no-store")
            await send(message)

        await self.app(scope, receive, send_safely)


class _GoneError(Exception):
    """The client went away."""


class _OverBudgetError(Exception):
    """All uploads in progress together hold more than this replica allows."""


class BoundedBody:
    """Reads a request's body before any work is begun for it, up to a limit of size and of time.

    The size of what arrived is counted, so a chunked upload, which announces none, is bounded too. What comes beyond
    the limit is thrown away as it arrives, up to once more the limit: a client that is still sending would otherwise
    see a broken connection instead of the answer.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            await self.app(scope, receive, send)
            return
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self.limits.upload_s):
                fits = await self._read(receive, chunks)
        except _GoneError:
            self._release(chunks)
            return
        except (TimeoutError, _OverBudgetError) as error:
            self._release(chunks)
            await self._refuse(error, scope, receive, send)
            return
        if not fits:
            detail = f"The request is larger than {self.limits.body_bytes} bytes; send fewer or smaller pictures."
            refusal = problem("body-too-large", detail, request_id=_request_id(scope))
            await respond(refusal, {"Connection": "close"})(scope, receive, send)
            return
        body, rest = b"".join(chunks), True

        async def replay() -> Message:
            nonlocal body, rest
            if not rest:
                return await receive()
            sent, body, rest = body, b"", False
            return {"type": "http.request", "body": sent, "more_body": False}

        try:
            await self.app(scope, replay, send)
        finally:
            self._release(chunks)

    async def _read(self, receive: Receive, chunks: list[bytes]) -> bool:
        """Collect the body; False if it is larger than the limit, with nothing kept."""
        size, more = 0, True
        while more and size <= 2 * self.limits.body_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size > self.limits.body_bytes:
                self._release(chunks)
                continue
            chunks.append(chunk)
            self.buffered += len(chunk)
            if self.buffered > self.limits.buffered_bytes:
                raise _OverBudgetError
        return size <= self.limits.body_bytes

    def _release(self, chunks: list[bytes]) -> None:
        self.buffered -= sum(map(len, chunks))
        chunks.clear()

    async def _refuse(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        if isinstance(error, TimeoutError):
            code, detail = (
                "slow-upload",
                f"The request was not complete after {self.limits.upload_s:g} s; send it again.",
            )
        else:
            code = "busy"
            detail = f"Uploads in progress hold {self.limits.buffered_bytes} bytes, the limit here; try again shortly."
        refusal = problem(code, detail, request_id=_request_id(scope))
        await respond(refusal, {"Connection": "close"})(scope, receive, send)


class Admission:
    """Turns a request away at once when as many as allowed are in work; waiting longer would only make all late."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            await self.app(scope, receive, send)
            return
        if self.in_work >= self.limits.in_work:
            detail = f"{self.in_work} requests are in work, the limit here; try again shortly."
            refusal = problem("busy", detail, request_id=_request_id(scope))
            await respond(refusal)(scope, receive, send)
            return
        self.in_work += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_work -= 1
