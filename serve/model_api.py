"""`/model`, `/model/card` and `/example`: what the model that serves is, how good it is, and a picture to try it on."""

import math
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve.http.openapi import problem_responses
from serve.http.problems import ProblemError
from serve.inference.predictor import Predictor
from serve.page.numbers import TOLD
from serve.production.model import Holder, Served
from serve.schemas import FailureReport, ModelCard, RolloutReport

_CARD: dict[int | str, dict[str, Any]] = {
    200: {"description": "Markdown", "content": {"text/markdown": {"schema": {"type": "string"}}}}
}
_EXAMPLE: dict[int | str, dict[str, Any]] = {
    200: {"description": "JPEG", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}


def model_router(predictor: Predictor) -> APIRouter:
    """The routes that tell of the model that serves; each answers 503 while there is none."""
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
        return _card(predictor.served(), predictor.holder)

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

    return router


def _card(served: Served, holder: Holder) -> ModelCard:
    """What `/model` tells of a served model."""
    version, bundle, failure = served.version, served.bundle, holder.failure
    return ModelCard(
        name=version.name,
        version=version.version,
        run_id=version.run_id,
        digest=version.digest,
        threshold=bundle.threshold,
        unsure=bundle.unsure,
        evaluation=_finite(_farthest_first(bundle.evaluation)),
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


def _farthest_first(evaluation: dict[str, Any]) -> dict[str, Any]:
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
