"""From the pictures of a request to their answers, for API and page alike, and what is counted and recorded of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from fastapi import Request

from registry.records.prediction_ids import PredictionIds, parse_id
from registry.records.predictions import Record
from serve.http.limits import RequestLimits, counted_in_work
from serve.http.problems import request_id_of
from serve.http.uploads import Picture, read_pictures
from serve.inference.predictor import PictureResult, Predictor
from serve.inference.recorder import PredictionRecorder
from serve.inference.shadow import Shadow, counted
from serve.inference.sharing import Others, SharedPredictor
from serve.load import Load
from serve.metrics import Metrics
from serve.production.model import Served
from serve.schemas import Prediction, Problem


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer or problem a picture, in order, and the model that all of them are by."""

    served: Served
    pictures: list[Picture]
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
        others: Others | None = None,
    ) -> None:
        self.predictor = predictor
        self.shared = SharedPredictor(predictor, load, others)
        self._limits = limits
        self._load = load
        self._metrics = metrics
        self.recorder = recorder
        self.shadow = Shadow(load, metrics)
        self._ids = PredictionIds()

    async def answer(self, request: Request, *, check: Callable[[Sequence[Picture]], None] | None = None) -> Answered:
        """The answers for the pictures of a request, if `check` takes them.

        Raises
        ------
        ProblemError
            `no-model`, `busy`, what is wrong with the upload as a whole, or what `check` raises.
        """
        request_id = request_id_of(request)
        served = self.predictor.model_for(request_id)
        request.scope["state"]["version"] = served.version.version
        pictures = await read_pictures(request, self._limits)
        if check:
            check(pictures)
        with counted_in_work(self._load, self._limits, len(pictures)):
            pictures_answered = await self.shared.answer(served, pictures, request_id)
            self._compare(served, pictures, pictures_answered)
            production = self.predictor.served()
            if served is not production and any(answered.outcome == "error" for answered in pictures_answered):
                served = production  # a candidate that breaks costs a client time, and no answer
                request.scope["state"]["version"] = served.version.version
                pictures_answered = await self.shared.answer(served, pictures, request_id)
        results = [self._finish(served, answered) for answered in pictures_answered]
        if len(results) > 1:  # a single problem becomes the response, and is counted as that
            for result in results:
                if isinstance(result, Problem):
                    self._metrics.refusals.labels(result.code).inc()
        return Answered(served=served, pictures=pictures, results=results)

    def _compare(self, served: Served, pictures: Sequence[Picture], answered: Sequence[PictureResult]) -> None:
        """Count what a rollout compares: in a canary who answered how, in a shadow by a copy for the candidate."""
        candidate = self.predictor.holder.candidate
        if candidate is None or not candidate.runs_beside(self.predictor.served()):
            return
        if candidate.is_shadow:
            for picture, result in zip(pictures, answered, strict=True):
                self.shadow.offer(candidate, picture, result)
            return
        arm = "candidate" if served is candidate.served else "production"
        for result in answered:
            candidate.count(served, counted(result))
            self._metrics.rollout.labels(arm, result.outcome).inc()

    def _finish(self, served: Served, answered: PictureResult) -> Prediction | Problem:
        """Give an answer its id, count and record it; in the event loop, so that records come in the order of ids."""
        if isinstance(answered.answer, Problem):
            return answered.answer
        prediction = Prediction(id=self._ids.new(), **answered.answer)
        self._metrics.scores.labels(self._metrics.version_label(served.version.version)).observe(prediction.probability)
        for warning in prediction.warnings:
            self._metrics.warnings.labels(warning.code).inc()
        if self.recorder and answered.features is not None:
            self.recorder.offer(_record(served, prediction, answered, answered.features))
        return prediction


def _record(served: Served, prediction: Prediction, answered: PictureResult, features: np.ndarray) -> Record:
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
        sha256=answered.sha256,
        aspect=answered.aspect,
        digest=served.version.digest,
    )
