"""ASGI middleware that keeps the server standing: bounded bodies, bounded work, bounded time."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.http.problems import ProblemError, refuse
from serve.load import Load

_BODILESS = {"GET", "HEAD", "OPTIONS"}
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """What one replica takes on.

    Attributes
    ----------
    body_bytes
        The largest request, multipart overhead and all its pictures included.
    buffered_bytes
        What all uploads in progress may hold in memory together.
    upload_s
        How long a client may take to send its request.
    answer_s
        How long a request may be in progress. Less than Serve's own limit, whose answer is not a problem document.
    in_work
        How many requests may be computed or wait for a thread, however long that takes.
    wait_s
        More of them are let in while none has been in work for this long: what keeps a processor for a moment turns
        nobody away.
    in_work_at_most
        How many may be in work even then.
    files
        How many pictures one request may hold.
    pictures
        How many pictures of all requests in progress may be computed or wait for a thread.
    """

    body_bytes: int = 48 * _MIB
    buffered_bytes: int = 256 * _MIB
    upload_s: float = 30.0
    answer_s: float = 25.0
    in_work: int = 32
    wait_s: float = 2.0
    in_work_at_most: int = 128
    files: int = 64
    pictures: int = 128


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

    def __init__(self, app: ASGIApp, limits: RequestLimits, load: Load) -> None:
        self.app = app
        self.limits = limits
        self.load = load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            await self.app(scope, receive, send)
            return
        chunks: list[bytes] = []
        try:
            await self._bounded(chunks, scope, receive, send)
        finally:  # also where the request was cancelled
            self._release(chunks)

    async def _bounded(self, chunks: list[bytes], scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.limits.upload_s):
                fits = await self._read(receive, chunks)
        except _GoneError:
            return
        except (TimeoutError, _OverBudgetError) as error:
            self._release(chunks)
            await self._refuse(error, scope, receive, send)
            return
        if not fits:
            detail = f"The request is larger than {self.limits.body_bytes} bytes; send fewer or smaller pictures."
            await refuse(scope, receive, send, "body-too-large", detail, close=True)
            return
        body, rest = b"".join(chunks), True
        chunks[:] = [body]  # what arrived is in memory once

        async def replay() -> Message:
            nonlocal body, rest
            if not rest:
                return await receive()
            sent, body, rest = body, b"", False
            return {"type": "http.request", "body": sent, "more_body": False}

        await self.app(scope, replay, send)

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
            self.load.buffered_bytes.add(len(chunk))
            if self.load.buffered_bytes.value > self.limits.buffered_bytes:
                raise _OverBudgetError
        return size <= self.limits.body_bytes

    def _release(self, chunks: list[bytes]) -> None:
        self.load.buffered_bytes.add(-sum(map(len, chunks)))
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
        await refuse(scope, receive, send, code, detail, close=True)


@contextmanager
def counted_in_work(load: Load, limits: RequestLimits, pictures: int) -> Iterator[None]:
    """Count pictures as in work while a block runs; raises ProblemError `busy` where others leave no room for them."""
    waiting = load.pictures_in_work.value
    if waiting and waiting + pictures > limits.pictures:
        raise ProblemError("busy", f"{waiting} pictures are in progress already; try again shortly.")
    with load.pictures_in_work.raised(pictures):
        yield


class Admission:
    """Refuses a request at once when those before it wait for too long: a longer queue would make all of them late.

    A request that was admitted and is not answered in time ends with the same status. Its pictures that still wait for
    a thread leave the queue, so that a slow server does no work for clients who have stopped waiting.
    """

    def __init__(self, app: ASGIApp, limits: RequestLimits, load: Load) -> None:
        self.app = app
        self.limits = limits
        self.load = load
        self._admitted: dict[object, float] = {}  # when each request in work was admitted, the oldest first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            await self.app(scope, receive, send)
            return
        if self._full():
            detail = f"{len(self._admitted)} requests are in progress, the limit here; try again shortly."
            await refuse(scope, receive, send, "busy", detail)
            return
        begun, request = False, object()

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._admitted[request] = time.monotonic()
        self.load.requests_in_work.add(1)
        try:
            async with asyncio.timeout(self.limits.answer_s) as limit:
                await self.app(scope, receive, watched)
        except TimeoutError:
            if begun or not limit.expired():
                raise
            detail = f"No answer was ready after {self.limits.answer_s:g} s; try again, with fewer pictures at once."
            await refuse(scope, receive, send, "too-slow", detail)
        finally:
            del self._admitted[request]
            self.load.requests_in_work.add(-1)

    def _full(self) -> bool:
        in_work = len(self._admitted)
        if in_work < self.limits.in_work:
            return False
        oldest = time.monotonic() - next(iter(self._admitted.values()), 0.0)
        return in_work >= self.limits.in_work_at_most or oldest >= self.limits.wait_s
