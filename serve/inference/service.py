"""The way of a request's pictures from upload to answers, for API and page alike, and what is noted of it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from fastapi import Request

from registry.predictions import Record
from serve.http.limits import RequestLimits
from serve.http.problems import ProblemError, request_id_of
from serve.http.uploads import read_pictures
from serve.inference.predictor import PictureResult, Predictor
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Served
from serve.schemas import Prediction, Problem


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer or problem a picture, in order, and the model that all of them are by."""

    served: Served
    results: list[Prediction | Problem]


class PredictionService:
    """Takes a request's pictures, has them answered by one model, and counts what comes out."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        limits: RequestLimits,
        metrics: Metrics,
        recorder: PredictionRecorder | None = None,
    ) -> None:
        self.predictor = predictor
        self._limits = limits
        self._metrics = metrics
        self.recorder = recorder

    async def answer(self, request: Request) -> Answered:
        """The answers for the pictures of a request.

        Raises
        ------
        ProblemError
            `no-model`, `busy`, or what is wrong with the upload as a whole.
        """
        served = self.predictor.served()
        request.scope["state"]["version"] = served.version.version
        pictures = await read_pictures(request, self._limits)
        waiting = self._metrics.pictures.value
        if waiting and waiting + len(pictures) > self._limits.pictures:
            raise ProblemError("busy", f"{waiting} pictures are in work already; try again shortly.")
        self._metrics.pictures.add(len(pictures))
        try:
            outcomes = await self.predictor.answer(served, pictures, request_id_of(request))
        finally:
            self._metrics.pictures.add(-len(pictures))
        self._note(served, outcomes)
        return Answered(served=served, results=[outcome.result for outcome in outcomes])

    def _note(self, served: Served, outcomes: list[PictureResult]) -> None:
        scores = self._metrics.scores.labels(self._metrics.version_label(served.version.version))
        for outcome in outcomes:
            result = outcome.result
            if isinstance(result, Problem):
                if len(outcomes) > 1:  # a single one becomes the answer, and is counted as that
                    self._metrics.refusals.labels(result.code).inc()
                continue
            scores.observe(result.probability)
            for warning in result.warnings:
                self._metrics.warnings.labels(warning.code).inc()
            if self.recorder and outcome.features is not None:
                self.recorder.offer(_record(served, result, outcome.features))


def _record(served: Served, prediction: Prediction, features: np.ndarray) -> Record:
    return Record(
        id=prediction.id,
        time=datetime.now(UTC),
        version=served.version.version,
        probability=prediction.probability,
        label=prediction.label,
        spec=served.version.spec_fingerprint,
        features=features,
    )
