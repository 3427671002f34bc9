"""From the pictures of a request to their answers, for API and page alike, and what is counted and recorded of it."""

from dataclasses import dataclass

import numpy as np
from fastapi import Request

from registry.prediction_ids import PredictionIds, parse_id
from registry.predictions import Record
from serve.http.limits import RequestLimits
from serve.http.problems import ProblemError, request_id_of
from serve.http.uploads import read_pictures
from serve.inference.predictor import PictureResult, Predictor
from serve.inference.recorder import PredictionRecorder
from serve.load import Load
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
        load: Load,
        metrics: Metrics,
        recorder: PredictionRecorder | None = None,
    ) -> None:
        self.predictor = predictor
        self._limits = limits
        self._load = load
        self._metrics = metrics
        self.recorder = recorder
        self._ids = PredictionIds()

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
        waiting = self._load.pictures_in_work.value
        if waiting and waiting + len(pictures) > self._limits.pictures:
            raise ProblemError("busy", f"{waiting} pictures are in progress already; try again shortly.")
        self._load.pictures_in_work.add(len(pictures))
        try:
            pictures_answered = await self.predictor.answer(served, pictures, request_id_of(request))
        finally:
            self._load.pictures_in_work.add(-len(pictures))
        results = [self._finish(served, answered) for answered in pictures_answered]
        if len(results) > 1:  # a single problem becomes the response, and is counted as that
            for result in results:
                if isinstance(result, Problem):
                    self._metrics.refusals.labels(result.code).inc()
        return Answered(served=served, results=results)

    def _finish(self, served: Served, answered: PictureResult) -> Prediction | Problem:
        """Give an answer its id, count and record it; in the event loop, so that records come in the order of ids."""
        if isinstance(answered.answer, Problem):
            return answered.answer
        prediction = Prediction(id=self._ids.new(), **answered.answer)
        self._metrics.scores.labels(self._metrics.version_label(served.version.version)).observe(prediction.probability)
        for warning in prediction.warnings:
            self._metrics.warnings.labels(warning.code).inc()
        if self.recorder and answered.features is not None:
            self.recorder.offer(_record(served, prediction, answered.features))
        return prediction


def _record(served: Served, prediction: Prediction, features: np.ndarray) -> Record:
    known = parse_id(prediction.id)
    assert known  # noqa: S101  an id that was made just now
    return Record(
        id=prediction.id,
        time=known.time,
        version=served.version.version,
        probability=prediction.probability,
        label=prediction.label,
        spec=served.version.spec_fingerprint,
        features=features,
    )
