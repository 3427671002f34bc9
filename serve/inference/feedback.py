"""Routes for feedback: a person confirms or corrects a prediction, and feedback is counted and exported."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import Response
from pyarrow import ArrowException
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from registry.records.feedback import Feedback, read_feedback, record_feedback
from registry.settings import SettingsError
from registry.state import State
from serve.http.openapi import problem_responses
from serve.http.problems import ProblemError
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.schemas import FeedbackReceipt, FeedbackSummary, Label, VersionFeedback

_COLUMNS = ("prediction_id", "version", "predicted", "probability", "label", "time", "sha256", "said_by")
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "Labels as CSV", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
_LOOK_AGAIN_S = 0.5
_WAITING = 8  # requests at a time that wait for another replica's record
# A UUID, or the form of ids before: the request's id and the picture's place in it.
_ID = r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z0-9._-]{1,64}\.[0-9]{1,4})$"
PredictionId = Annotated[str, InPath(pattern=_ID, description="The prediction's `id`")]


class FeedbackRequest(BaseModel):
    """What a picture shows, according to a person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Label


def feedback_router(recorder: PredictionRecorder | None, metrics: Metrics) -> APIRouter:
    """The routes over a recorder's store; without a recorder each of them answers `not-recorded`."""
    router = APIRouter()
    places = asyncio.Semaphore(_WAITING)

    @router.post(
        "/predictions/{prediction_id}/feedback",
        response_model=FeedbackReceipt,
        responses=problem_responses(
            "unknown-prediction", "not-recorded", "slow-upload", "body-too-large", "invalid-request", "store-away"
        ),
        summary="Confirm or correct a prediction",
    )
    async def give_feedback(prediction_id: PredictionId, given: FeedbackRequest, request: Request) -> FeedbackReceipt:
        """Feedback is kept under the prediction's id, with the name of the API key that gave it.

        The same feedback again changes nothing; a later one replaces it.

        Every replica knows a prediction a few seconds after it was made. Until then another replica waits for it.
        """
        said_by = request.scope["state"].get("key", "")
        while (receipt := await run_in_threadpool(take, prediction_id, given.label, said_by)) is None:
            if places.locked():  # each that waits has a place that a prediction could have
                raise _unknown(prediction_id)
            async with places:
                await asyncio.sleep(_LOOK_AGAIN_S)
        return receipt

    def take(prediction_id: str, label: str, said_by: str) -> FeedbackReceipt | None:
        """The receipt; None while another replica may still write the prediction's record."""
        with _store(recorder) as (recorder_, state):
            prediction = recorder_.find(prediction_id)
            if prediction is None and recorder_.may_appear(prediction_id):
                return None
            if prediction is None:
                raise _unknown(prediction_id)
            feedback, before = record_feedback(state, prediction, label, said_by=said_by)
        if feedback is not before:
            verdict = "confirmed" if feedback.confirms else "corrected"
            version = metrics.version_label(feedback.version)
            metrics.feedback.labels(version, verdict).inc()
            metrics.judged.labels(version, feedback.label).observe(feedback.probability)
        return FeedbackReceipt(
            prediction_id=feedback.prediction_id,
            version=feedback.version,
            predicted=feedback.predicted,  # type: ignore[arg-type]
            label=feedback.label,  # type: ignore[arg-type]
            confirmed=feedback.confirms,
            time=feedback.time,
            said_by=feedback.said_by or None,
        )

    @router.get(
        "/feedback",
        response_model=FeedbackSummary,
        responses=problem_responses("not-recorded", "store-away"),
        summary="How often people agreed, by version",
    )
    def summary() -> FeedbackSummary:
        """Counts over the latest feedback on each prediction."""
        with _store(recorder) as (_, state):
            words = read_feedback(state)
        return FeedbackSummary(versions=[_count(words, version) for version in sorted({w.version for w in words})])

    @router.get(
        "/feedback.csv",
        response_class=Response,
        responses={**_CSV, **problem_responses("not-recorded", "store-away")},
        summary="Feedback as labels",
    )
    def export() -> Response:
        """One row for each prediction with feedback, oldest first: the predicted label and the person's label.

        `sha256` is that of the picture's file, by which whoever has the picture finds it; `said_by` is the name of the
        API key.
        """
        with _store(recorder) as (_, state):
            text = _table(read_feedback(state))
        name = 'attachment; filename="feedback.csv"'
        return Response(text, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})

    return router


def _unknown(prediction_id: str) -> ProblemError:
    return ProblemError(
        "unknown-prediction",
        f"No record of {prediction_id}: it is too old, was not recorded, or was made only seconds ago. The `id` of an "
        "answer counts, not its request_id.",
    )


@contextmanager
def _store(recorder: PredictionRecorder | None) -> Iterator[tuple[PredictionRecorder, State]]:
    """A recorder and its open store; an error of the store becomes `store-away`."""
    if recorder is None:
        raise ProblemError(
            "not-recorded", "PREDICTION_RECORDS is off on this server, so no prediction can take feedback."
        )
    try:
        yield recorder, recorder.state()
    except (OSError, SettingsError, ArrowException) as error:
        raise ProblemError(
            "store-away", f"The store of predictions (STATE_URI) does not answer: {type(error).__name__}."
        ) from error


def _count(entries: Iterable[Feedback], version: int) -> VersionFeedback:
    pairs = Counter((entry.predicted, entry.label) for entry in entries if entry.version == version)
    return VersionFeedback(
        version=version,
        confirmed=pairs["NORMAL", "NORMAL"] + pairs["PNEUMONIA", "PNEUMONIA"],
        corrected=pairs["NORMAL", "PNEUMONIA"] + pairs["PNEUMONIA", "NORMAL"],
        missed_pneumonia=pairs["NORMAL", "PNEUMONIA"],
        false_alarms=pairs["PNEUMONIA", "NORMAL"],
    )


def _table(entries: Iterable[Feedback]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        answer = (entry.prediction_id, entry.version, entry.predicted, entry.probability)
        writer.writerow([*answer, entry.label, entry.time.isoformat(), entry.sha256, entry.said_by])
    return text.getvalue()
