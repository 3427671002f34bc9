"""ASGI middleware that sees every request: counts it, measures it, and writes its one line to the log."""

import logging
import re
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.process.traces import are_sent, note, past_span, span
from serve.http.headers import STARTED_HEADER
from serve.load import Load
from serve.logs import ACCESS
from serve.metrics import Metrics

log = logging.getLogger(ACCESS)

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_CLIENT_GONE = 499
_STARTED = re.compile(r"t=\d{13}")
_PAGE = {"/", "/page/result", "/page/model"}


class AccessLog:
    """What metrics and log tell of a request: method, route, status, time, id and version, never what it carried."""

    def __init__(self, app: ASGIApp, load: Load, metrics: Metrics) -> None:
        self.app = app
        self.load = load
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, begun = 0, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.load.requests_open.add(1)
        with span("request"):
            if are_sent():
                _note_front(scope)
            try:
                await self.app(scope, receive, watched)
            except Exception:
                status = 500
                scope["state"]["problem"] = "internal-error"
                raise
            finally:
                self.load.requests_open.add(-1)
                self._note(scope, status or _CLIENT_GONE, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state, route = scope["state"], route_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.metrics.requests.labels(method, route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if "problem" in state:
            self.metrics.refusals.labels(state["problem"]).inc()
        fields: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
            "request_id": state.get("request_id", ""),
            "version": state.get("version"),
        }
        if "problem" in state:
            fields["problem"] = state["problem"]
        if "key" in state:
            fields["key"] = state["key"]
        if are_sent():
            note(**{name: value for name, value in fields.items() if value is not None})
        dull = method in ("GET", "HEAD") and status < 400
        level = logging.DEBUG if dull else logging.INFO
        if log.isEnabledFor(level):
            # As `log.log` does it, without a search of the stack for a calling line that is always this one.
            record = logging.LogRecord(log.name, level, __file__, 0, "request", (), None)
            record.fields = fields
            log.handle(record)


def _note_front(scope: Scope) -> None:
    """In a trace, the time between HAProxy, which says when a request came, and this replica."""
    given = Headers(scope=scope).get(STARTED_HEADER, "")
    if _STARTED.fullmatch(given):
        past_span("haproxy", begun_ns=int(given.removeprefix("t=")) * 1_000_000)


def route_of(scope: Scope) -> str:
    """The route of a request as declared, with its parameters not filled in; `unmatched` where no route matches."""
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    path = str(scope["path"])
    if path.startswith("/static/"):
        return "/static"
    # A request that is too large is refused before it is routed.
    return path if path in _PAGE or path in scope["app"].openapi()["paths"] else "unmatched"
