"""`POST /explain`: one picture in, the same picture with the model's evidence laid over it out, or the bare numbers."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from serve.http import problems
from serve.http.limits import RequestLimits, counted_in_work
from serve.http.openapi import OF_PICTURES, picture_body, problem_responses
from serve.http.plain import PlainRoute
from serve.http.problems import ProblemError, request_id_of
from serve.http.uploads import Picture, read_pictures
from serve.inference.explain import Evidence, explain
from serve.inference.overlay import overlay
from serve.inference.predictor import Predictor, answer_fields, guarded
from serve.load import Load
from serve.production.model import Served
from serve.schemas import Explanation, Problem

MODEL_VERSION_HEADER = "X-Model-Version"
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture with an overlay, or with `Accept: application/json` the numbers behind it",
        "model": Explanation,
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {MODEL_VERSION_HEADER: {"schema": {"type": "integer"}, "description": "The version that explains."}},
    }
}


def explain_router(predictor: Predictor, limits: RequestLimits, load: Load) -> APIRouter:
    """The route, whose work is done in the predictor's threads and admitted like a prediction."""
    router = APIRouter(route_class=PlainRoute)

    @router.post(
        "/explain",
        response_class=Response,
        responses=_ANSWER | problem_responses(*OF_PICTURES),
        openapi_extra=picture_body(most=1),
        summary="Where in the picture does the evidence lie?",
    )
    async def explain_picture(request: Request) -> Response:
        """One picture, as a multipart part named `file` or as the raw body.

        Orange shows where the picture speaks for PNEUMONIA in the eyes of the model: where the probability would fall
        if the picture were like an average normal one there. It is not an outline of a disease.
        """
        request_id = request_id_of(request)
        served = predictor.model_for(request_id)
        pictures = await read_pictures(request, limits)
        if len(pictures) > 1:
            raise ProblemError("too-many-files", f"{len(pictures)} pictures were sent; one at a time is explained.")
        drawn = not _wants_json(request)

        async def explained_by(model: Served) -> bytes | Explanation | Problem:
            request.scope["state"]["version"] = model.version.version
            return await predictor.run(
                lambda: _explained(model, pictures[0], request_id, drawn=drawn, abstains=predictor.abstains)
            )

        with counted_in_work(load, limits, len(pictures)):
            answer = await explained_by(served)
            production = predictor.served()
            if served is not production and isinstance(answer, Problem) and answer.code == "undecodable-image":
                served = production  # as for a prediction: a candidate that breaks costs no answer
                answer = await explained_by(served)
        if isinstance(answer, Problem):
            return problems.respond(answer)
        headers = {MODEL_VERSION_HEADER: str(served.version.version)}
        if isinstance(answer, bytes):
            return Response(answer, media_type="image/png", headers=headers)
        return JSONResponse(answer.model_dump(mode="json", exclude_none=True), headers=headers)

    return router


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "image/" not in accepted


def _explained(
    served: Served, picture: Picture, request_id: str, *, drawn: bool, abstains: bool
) -> bytes | Explanation | Problem:
    def work() -> bytes | Explanation | Problem:
        evidence: Evidence = explain(served.bundle, picture.data)
        fields = answer_fields(served, evidence.answer, picture, request_id, abstains=abstains)
        if isinstance(fields, Problem):
            return fields
        if drawn:
            lungs = evidence.answer.examined.looked.lungs
            return overlay(evidence.answer.examined.pixels, evidence.grid, lungs.box if lungs else None)
        return Explanation(contributions=evidence.grid.tolist(), **fields)

    return guarded(work, picture, request_id)
