"""Stopping without losing a request: new ones are turned away by name, and those that were let in get their answers.

Ray Serve ends its proxy first and what is under way with it. So the starting process puts a flag into the folder that
all its replicas know, waits until none of them has a request open, and only then shuts Serve down.
"""

import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.http.problems import problem, respond

_LOOK_S = 0.1
_OWN_LOOK = 1


class Draining:
    """Answers `stopping` to whatever would be new work, and to the readiness probe, soon after the flag is there."""

    def __init__(self, app: ASGIApp, flag: Path | None) -> None:
        self.app = app
        self.flag = flag
        self._stops = False
        self._looked = -_LOOK_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks = scope["type"] == "http" and (scope["method"] == "POST" or scope["path"] == "/readyz")
        if not asks or not self._is_to_stop():
            await self.app(scope, receive, send)
            return
        detail = "This server finishes what it has begun and then stops; ask again, another one will answer."
        refusal = problem("stopping", detail, request_id=scope["state"]["request_id"])
        await respond(refusal, {"Connection": "close"})(scope, receive, send)

    def _is_to_stop(self) -> bool:
        """Whether the flag was there at the last look: one a request would cost each of them a turn of the threads."""
        now = time.monotonic()
        if self.flag is not None and not self._stops and now - self._looked >= _LOOK_S:
            self._looked, self._stops = now, self.flag.exists()
        return self._stops


def drain(flag: Path, url: str, *, seconds: float, key: str | None = None) -> bool:
    """Put the flag and wait until no replica has a request open; False if some still have after a time."""
    flag.touch()
    time.sleep(2 * _LOOK_S)  # until every replica has seen it
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _open_requests(url, key) <= _OWN_LOOK:
            return True
        time.sleep(_LOOK_S)
    return False


def _open_requests(url: str, key: str | None) -> float:
    headers = {"X-API-Key": key} if key else {}
    request = urllib.request.Request(f"{url}/metrics", headers=headers)  # noqa: S310  our own http address
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            text = answer.read().decode()
    except OSError:
        return 0  # nobody answers, so nobody waits
    families = text_string_to_metric_families(text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == "hm_requests_open")
