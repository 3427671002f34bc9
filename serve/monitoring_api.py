"""`/healthz`, `/readyz` and `/metrics`: what load balancers and Prometheus ask."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve.http.openapi import problem_responses
from serve.inference.predictor import Predictor
from serve.metrics import MEDIA_TYPE, Metrics
from serve.schemas import HealthReport

_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def monitoring_router(predictor: Predictor, metrics: Metrics) -> APIRouter:
    """The routes for monitoring."""
    router = APIRouter()

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
