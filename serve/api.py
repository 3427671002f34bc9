"""The HTTP application: routes over a model holder. It needs no Ray, so any ASGI server can run it."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from datetime import datetime
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
from serve.http.problems import ProblemError, request_id_of
from serve.inference.explain_api import explain_router
from serve.inference.feedback import feedback_router
from serve.inference.predictor import Predictor, reference
from serve.inference.recorder import PredictionRecorder
from serve.inference.reports import check_pictures, report, wants_report
from serve.inference.service import PredictionService
from serve.inference.sharing import Others
from serve.load import Load
from serve.metrics import MEDIA_TYPE, Metrics
from serve.page.numbers import TOLD
from serve.page.routes import add_page
from serve.production.model import Holder, Served
from serve.schemas import FailureReport, HealthReport, ModelCard, Prediction, Predictions, Problem, RolloutReport

DESCRIPTION = (
    "Answers whether a chest X-ray of a child shows pneumonia. Not a medical device: for research and teaching, "
    "never for a decision about a patient. Pictures are neither kept nor logged."
)
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
_REPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE_DICOM: {"schema": {"type": "string", "format": "binary"}}}}
}
_CARD: dict[int | str, dict[str, Any]] = {
    200: {"description": "Markdown", "content": {"text/markdown": {"schema": {"type": "string"}}}}
}

_EXAMPLE: dict[int | str, dict[str, Any]] = {
    200: {"description": "JPEG", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
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
    app.include_router(_router(predictor, metrics))
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


def _router(predictor: Predictor, metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.get(
        "/model",
        response_model=ModelCard,
        responses=problem_responses("no-model"),
        summary="Which model answers, and how well",
    )
    async def model() -> ModelCard:
        """The version that serves, its evaluation, and the last failure to replace it, if any.

        Of the evaluation, `test` comes first where its data had a `test/`, then `held_out`, then `held_out_shifted`.
        """
        return card(predictor.served(), predictor.holder)

    @router.get(
        "/model/card",
        response_class=Response,
        responses=_CARD | problem_responses("no-model"),
        summary="The model card, to read",
    )
    async def model_card() -> Response:
        """What the version that serves is for, what it learnt from, how good it is, and where it fails; in Markdown."""
        served = predictor.served()
        return Response(served.bundle.card, media_type="text/markdown; charset=utf-8")

    @router.get(
        "/example",
        response_class=Response,
        responses=_EXAMPLE | problem_responses("no-example", "no-model"),
        summary="A picture to try",
    )
    async def example() -> Response:
        """A generated X-ray, as long as the model that serves learnt from generated ones; another one refuses it."""
        bundle = predictor.served().bundle
        if not bundle.generated:
            detail = "The model learnt from real X-rays, and refuses generated ones; send one of yours."
            raise ProblemError("no-example", detail)
        chosen = max(bundle.golden, key=lambda golden: golden.probability)
        return Response(chosen.image, media_type="image/jpeg")

    @router.get("/healthz", response_model=HealthReport, summary="Is the server alive?")
    async def healthz() -> HealthReport:
        """200 as long as the process answers, whether or not it has a model."""
        return HealthReport(status="alive")

    @router.get(
        "/readyz",
        response_model=HealthReport,
        responses=problem_responses("no-model"),
        summary="Is a verified model loaded?",
    )
    async def readyz() -> HealthReport:
        """200 once a verified model answers; 503 before that."""
        predictor.served()
        return HealthReport(status="ready")

    @router.get("/metrics", response_class=Response, responses=_METRICS, summary="Numbers for Prometheus")
    def show_metrics() -> Response:
        """Requests, latencies, refusals, scores, swaps and versions, added up over all replicas of this node."""
        return Response(metrics.render(), media_type=MEDIA_TYPE)

    return router


def _json(answer: Prediction | Predictions) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


def card(served: Served, holder: Holder) -> ModelCard:
    """What `/model` tells of a served model."""
    version, bundle, failure = served.version, served.bundle, holder.failure
    return ModelCard(
        name=version.name,
        version=version.version,
        run_id=version.run_id,
        digest=version.digest,
        threshold=bundle.threshold,
        unsure=bundle.unsure,
        evaluation=_finite(farthest_first(bundle.evaluation)),
        spec_fingerprint=bundle.spec.fingerprint,
        features=len(bundle.spec.names),
        created=version.created,
        serving_since=served.since,
        source=served.source,
        failure=FailureReport(**asdict(failure)) if failure else None,
        rollout=_rollout(holder),
    )


def _rollout(holder: Holder) -> RolloutReport | None:
    candidate = holder.candidate
    if candidate is None or candidate.record.rollout is None:
        return None
    record, rollout, counts = candidate.record, candidate.record.rollout, candidate.counts
    return RolloutReport(
        kind=record.kind,
        version=rollout.version,
        share=rollout.share,
        since=datetime.fromisoformat(record.when),
        until=datetime.fromisoformat(rollout.until),
        who=record.who,
        why=record.why,
        loaded=candidate.served is not None,
        trouble=counts.stopped or candidate.trouble or None,
        numbers=counts.numbers(),
    )


def farthest_first(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The same numbers; those on X-rays that say most of other places come first."""
    return {name: evaluation[name] for name in (*TOLD, *evaluation) if name in evaluation}


def _finite(value: Any) -> Any:
    """The same structure with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
