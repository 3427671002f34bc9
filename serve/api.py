"""The HTTP application: routes over a model holder. It needs no Ray, so any ASGI server can run it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from registry.model.structured_report import MEDIA_TYPE as MEDIA_TYPE_DICOM
from registry.settings import Settings
from serve.http import problems
from serve.http.access import AccessLog
from serve.http.draining import Draining
from serve.http.head import HeadAsGet
from serve.http.headers import RequestId, SafeHeaders
from serve.http.hosts import AllowedHosts, HostGuard
from serve.http.keys import KeyGuard, Keys
from serve.http.limits import Admission, BoundedBody, RequestLimits
from serve.http.openapi import OF_PICTURES, picture_body, problem_responses
from serve.http.plain import PlainRoute
from serve.http.problems import request_id_of
from serve.inference.explain_api import explain_router
from serve.inference.feedback import feedback_router
from serve.inference.predictor import Predictor, reference
from serve.inference.recorder import PredictionRecorder
from serve.inference.reports import check_pictures, report, wants_report
from serve.inference.service import PredictionService
from serve.inference.sharing import Others
from serve.load import Load
from serve.metrics import Metrics
from serve.model_api import model_router
from serve.monitoring_api import monitoring_router
from serve.page.routes import add_page
from serve.production.model import Holder
from serve.schemas import Prediction, Predictions, Problem

DESCRIPTION = (
    "Answers whether a chest X-ray of a child shows pneumonia. Not a medical device: for research and teaching, "
    "never for a decision about a patient. Pictures are neither kept nor logged."
)
_REPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE_DICOM: {"schema": {"type": "string", "format": "binary"}}}}
}


def create_app(
    holder: Holder,
    *,
    settings: Settings,
    limits: RequestLimits | None = None,
    metrics: Metrics | None = None,
    threads: int | None = None,
    behind_serve: bool = False,
    stopping: Path | None = None,
    recorder: PredictionRecorder | None = None,
    keys: Keys | None = None,
    hosts: AllowedHosts | None = None,
    around: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    others: Others | None = None,
) -> FastAPI:
    """The application over a holder; the caller keeps the holder on the right model.

    `around` is entered when the application starts and left when it stops, for what has to run beside it.
    `behind_serve` means that Ray Serve's proxy is in front, which returns the client's request id itself. While the
    file `stopping` exists, no new work is taken. `recorder` records predictions. With `keys`, a request needs one;
    with `hosts`, it has to name one of them. `others` are the other replicas, for which `app.state.take` is there.
    """
    limits, metrics = limits or RequestLimits(), metrics or Metrics()
    predictor = Predictor(holder, threads=threads, abstains=settings.abstains)
    load = Load()
    metrics.follow(load)
    service = PredictionService(predictor, limits=limits, load=load, metrics=metrics, recorder=recorder, others=others)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if recorder:
            recorder.start()
        service.shadow.start()
        try:
            if around is None:
                yield
            else:
                async with around():
                    yield
        finally:
            predictor.close()
            await asyncio.to_thread(service.shadow.stop)
            if recorder:
                await asyncio.to_thread(recorder.stop)

    app = FastAPI(
        title="HM-mlflow",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirection of an upload is a blank line to most programs
    )
    # The last one added is the outermost: an id first, so that every refusal below carries it.
    app.add_middleware(HeadAsGet)
    app.add_middleware(Admission, limits=limits, load=load)
    app.add_middleware(BoundedBody, limits=limits, load=load)
    app.add_middleware(KeyGuard, keys=keys)
    app.add_middleware(HostGuard, hosts=hosts)
    app.add_middleware(Draining, flag=stopping)
    app.add_middleware(SafeHeaders)
    app.add_middleware(AccessLog, load=load, metrics=metrics)
    app.add_middleware(RequestId, echoed=behind_serve)
    app.state.take = service.shared.take
    problems.install(app)
    app.include_router(_predict_router(service))
    app.include_router(model_router(predictor))
    app.include_router(monitoring_router(predictor, metrics))
    app.include_router(feedback_router(recorder, metrics))
    app.include_router(explain_router(predictor, limits, load))
    add_page(app, service=service, settings=settings)
    return app


def _predict_router(service: PredictionService) -> APIRouter:
    router = APIRouter(route_class=PlainRoute)

    @router.post(
        "/predict",
        response_model=Prediction | Predictions,
        response_model_exclude_none=True,
        responses=_REPORT | problem_responses(*OF_PICTURES, "no-report"),
        openapi_extra=picture_body(),
        summary="Does the picture show pneumonia?",
    )
    async def predict(request: Request) -> Response:
        """One picture, as a multipart part named `file` or as the raw body, gets one answer or one problem.

        Several parts named `file` get `results`, one answer or problem each, in order, all by the same model.
        JPEG, PNG and DICOM are taken, told apart by their content.

        With `Accept: application/dicom`, one picture that was sent as DICOM gets a structured report (TID 1500) without
        anything of its header but UIDs. The header `X-Prediction-Id` has the prediction's `id`.
        """
        as_report = wants_report(request)
        answered = await service.answer(request, check=check_pictures if as_report else None)
        results = answered.results
        if len(results) > 1:
            model = reference(answered.served)
            return _json(Predictions(results=results, model=model, request_id=request_id_of(request)))
        if isinstance(results[0], Problem):
            return problems.respond(results[0])
        if as_report:
            one = results[0]
            return await service.predictor.run(lambda: report(answered.served, answered.pictures[0], one))
        return _json(results[0])

    return router


def _json(answer: Prediction | Predictions) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
