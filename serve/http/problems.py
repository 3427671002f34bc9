"""Errors as RFC 9457 problem documents: one catalogue of what can go wrong, and the handlers that send it."""

import http
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from features.reading.errors import ImageError
from serve.http.headers import media_type_of
from serve.schemas import Problem

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemKind:
    """One kind of problem: its HTTP status and its title; `retry_after_s` where trying again can help."""

    status: int
    title: str
    retry_after_s: int | None = None


KINDS: dict[str, ProblemKind] = {
    "malformed-form": ProblemKind(400, "The multipart form cannot be read"),
    "no-file": ProblemKind(422, "No picture was sent"),
    "too-many-files": ProblemKind(413, "Too many pictures in one request"),
    "no-key": ProblemKind(401, "An API key is needed"),
    "foreign-host": ProblemKind(403, "Another server's name"),
    "foreign-origin": ProblemKind(403, "Sent by another site's page"),
    "not-found": ProblemKind(404, "No such page"),
    "unknown-prediction": ProblemKind(404, "No such prediction", 3),
    "no-example": ProblemKind(404, "There is no example of what this model takes"),
    "not-recorded": ProblemKind(404, "Predictions are not recorded here"),
    "method-not-allowed": ProblemKind(405, "The method is not allowed here"),
    "no-report": ProblemKind(406, "There can be no structured report about this"),
    "slow-upload": ProblemKind(408, "The upload took too long", 1),
    "body-too-large": ProblemKind(413, "The request is too large"),
    "image-too-large": ProblemKind(413, "The picture is too large"),
    "unsupported-image": ProblemKind(415, "Not a picture of a type that is taken"),
    "unsupported-media-type": ProblemKind(415, "Not a media type that is taken"),
    "undecodable-image": ProblemKind(422, "The picture cannot be decoded"),
    "not-a-chest-xray": ProblemKind(422, "The picture is not a chest X-ray as the model knows them"),
    "no-finite-answer": ProblemKind(422, "The model has no answer for this picture"),
    "unsure": ProblemKind(422, "The model is not sure enough to answer"),
    "invalid-request": ProblemKind(422, "The request is not valid"),
    "no-model": ProblemKind(503, "No model is loaded yet", 2),
    "busy": ProblemKind(503, "The server is at its limit", 1),
    "too-slow": ProblemKind(503, "The answer took too long", 5),
    "store-away": ProblemKind(503, "The store of predictions does not answer", 5),
    "no-replica": ProblemKind(503, "No replica answers", 2),
    "stopping": ProblemKind(503, "The server is about to stop", 5),
    "internal-error": ProblemKind(500, "The server failed"),
}


class ProblemError(Exception):
    """Ends a request with a problem of a known kind."""

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extra = extra


def problem(code: str, detail: str, *, request_id: str, **extra: Any) -> Problem:
    """The problem document of a kind in the catalogue."""
    kind = KINDS[code]
    return Problem(
        type=f"/docs#{code}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        code=code,
        request_id=request_id,
        **extra,
    )


def of_error(error: ImageError | ProblemError, *, request_id: str, filename: str | None = None) -> Problem:
    """The problem document of a picture's error or of a request's."""
    if isinstance(error, ProblemError):
        return problem(error.code, error.detail, request_id=request_id, filename=filename, **error.extra)
    code = error.code if error.code in KINDS else "undecodable-image"
    return problem(code, str(error), request_id=request_id, filename=filename, reason=error.reason)


def respond(document: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Send a problem, with `Retry-After` where its kind has one."""
    retry_after = KINDS[document.code].retry_after_s
    sent = dict(headers or {})
    if retry_after is not None:
        sent["Retry-After"] = str(retry_after)
    if document.status == http.HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = 'Bearer realm="hm-mlflow"'
    content = document.model_dump(mode="json", exclude_none=True)
    return _ProblemResponse(content, document.code, status_code=document.status, headers=sent)


class _ProblemResponse(JSONResponse):
    """A problem document; the request's state learns its code, for the metrics and the log."""

    def __init__(self, content: dict[str, Any], code: str, *, status_code: int, headers: dict[str, str]) -> None:
        super().__init__(content, status_code=status_code, media_type=MEDIA_TYPE, headers=headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["problem"] = self._code
        await super().__call__(scope, receive, send)


def _what_is_wrong(request: Request, item: Mapping[str, Any]) -> str:
    """One finding of a check of a request, in words that say what to send instead."""
    place = item["loc"]
    media_type = media_type_of(request.headers)
    if place[0] == "body" and media_type != "application/json":
        return f"Content-Type is {media_type or 'missing'}; send application/json"
    if item["type"] == "json_invalid":
        return f"The body is not valid JSON: {item['ctx']['error']} at character {place[-1]}"
    if place == ("path", "prediction_id"):
        return "That is no prediction's id; take the `id` of an answer"
    return f"{'.'.join(map(str, place))}: {item['msg']}"


async def refuse(scope: Scope, receive: Receive, send: Send, code: str, detail: str, *, close: bool = False) -> None:
    """Answer a request with a problem from ASGI middleware.

    `close` ends the connection too: the client may still be sending a body that nobody will read.
    """
    document = problem(code, detail, request_id=str(scope["state"]["request_id"]))
    await respond(document, {"Connection": "close"} if close else None)(scope, receive, send)


def request_id_of(request: Request) -> str:
    """The id that `serve.http.headers.RequestId` gave the request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem document."""

    async def known(request: Request, error: Exception) -> Response:
        return respond(of_error(cast("ImageError | ProblemError", error), request_id=request_id_of(request)))

    async def invalid(request: Request, error: Exception) -> Response:
        found = cast("RequestValidationError", error).errors()
        detail = "; ".join(dict.fromkeys(_what_is_wrong(request, item) for item in found))
        return respond(problem("invalid-request", detail, request_id=request_id_of(request)))

    async def plain(request: Request, raised: Exception) -> Response:
        error = cast("HTTPException", raised)
        codes = {404: "not-found", 405: "method-not-allowed"}
        code = codes.get(error.status_code, "internal-error" if error.status_code >= 500 else "invalid-request")
        detail = f"{request.method} {request.url.path}: {error.detail or http.HTTPStatus(error.status_code).phrase}"
        if allowed := (error.headers or {}).get("Allow"):
            detail += f"; it takes {allowed}"
        elif code == "not-found":
            detail += "; /docs describes every path"
        return respond(problem(code, detail, request_id=request_id_of(request)), error.headers)

    async def unforeseen(request: Request, error: Exception) -> Response:
        request_id = request_id_of(request)
        log.error("Request %s failed: %s", request_id, type(error).__name__)
        detail = f"This is a fault of the server. Its log says more under request {request_id}."
        return respond(problem("internal-error", detail, request_id=request_id))

    app.add_exception_handler(ImageError, known)
    app.add_exception_handler(ProblemError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, unforeseen)
