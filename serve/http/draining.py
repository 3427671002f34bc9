"""ASGI middleware for the time before a stop: new requests are refused, the ones let in are answered."""

import time
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from serve.http.problems import refuse

# Replicas look for the flag this often: a look at each request would cost each of them a turn of the threads.
LOOK_S = 0.1


class Draining:
    """Answers `stopping` to what would be new work, and to the readiness probe, once the flag file exists."""

    def __init__(self, app: ASGIApp, flag: Path | None) -> None:
        self.app = app
        self.flag = flag
        self._stops = False
        self._looked = -LOOK_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks = scope["type"] == "http" and (scope["method"] == "POST" or scope["path"] == "/readyz")
        if not asks or not self._is_to_stop():
            await self.app(scope, receive, send)
            return
        detail = "This server is stopping and takes no new work. Try again shortly: another server will answer."
        await refuse(scope, receive, send, "stopping", detail, close=True)

    def _is_to_stop(self) -> bool:
        """Whether the flag existed at the last look."""
        now = time.monotonic()
        if self.flag is not None and not self._stops and now - self._looked >= LOOK_S:
            self._looked, self._stops = now, self.flag.exists()
        return self._stops
