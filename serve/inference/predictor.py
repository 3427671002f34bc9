"""Answers for pictures: decoding and prediction in threads, each answer by the one model that it names."""

import asyncio
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from features.reading.errors import ImageError
from registry.model.answer import ScoredImage
from serve.http.problems import ProblemError, of_error, problem
from serve.http.uploads import Picture
from serve.production.model import Holder, Served
from serve.schemas import FailureReport, ModelReference, PredictionWarning, Problem

log = logging.getLogger(__name__)

T = TypeVar("T")

ABSTAINS = (
    "The answer would be too near the threshold to be given: taken or processed in another way, the same X-ray might "
    "get the other one. Let a person read it."
)


@dataclass(frozen=True, kw_only=True)
class PictureResult:
    """The fields of a picture's answer, or its problem; with an answer, the features (D,) that it was computed from.

    `outcome` is the label, or why there is none: `refused`, `error` or `unreadable`. An answer near the threshold has
    its label even where it is kept back. `seconds` is how long it took to compute.
    `sha256` is of the picture's bytes, `aspect` the width of the lungs to their height.
    """

    answer: dict[str, Any] | Problem
    features: np.ndarray | None = None
    outcome: str = "unreadable"
    probability: float | None = None
    seconds: float = 0.0
    sha256: str = ""
    aspect: float = math.nan


class Predictor:
    """The model in use and the threads that run it; OpenCV and NumPy leave the interpreter lock, so threads do help.

    One that `abstains` gives no answer that is near the threshold.
    """

    def __init__(self, holder: Holder, *, threads: int | None = None, abstains: bool = False) -> None:
        self.holder = holder
        self.abstains = abstains
        self.threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="predict")

    def served(self) -> Served:
        """The model of this moment; take it once a request. Raises ProblemError `no-model`."""
        served = self.holder.served
        if served is None:
            failure = self.holder.failure
            detail = (
                f"{failure.detail} {failure.remedy}" if failure else "The model is being fetched; try again shortly."
            )
            members = {"failure": FailureReport(**asdict(failure))} if failure else {}
            raise ProblemError("no-model", detail, **members)
        return served

    def model_for(self, request_id: str) -> Served:
        """The model for a request; in a canary, the candidate for its share. Raises ProblemError `no-model`."""
        served, candidate = self.served(), self.holder.candidate
        return candidate.model_for(request_id, served) if candidate else served

    async def answer(self, served: Served, pictures: Sequence[Picture], request_id: str) -> list[PictureResult]:
        """One answer or problem a picture, in order."""
        loop = asyncio.get_running_loop()
        # Each in a copy of the request's context, by which a trace knows what it belongs to.
        jobs = [
            loop.run_in_executor(self._pool, copy_context().run, answer_one, served, picture, request_id, self.abstains)
            for picture in pictures
        ]
        if len(jobs) == 1:  # most requests; to gather one costs more than to wait for it
            return [await jobs[0]]
        return list(await asyncio.gather(*jobs))

    async def run(self, work: Callable[[], T]) -> T:
        """What some other work on a picture gives, done in the same threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, work)

    def close(self) -> None:
        """Let running work end and take no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def guarded(work: Callable[[], T], picture: Picture, request_id: str) -> T | Problem:
    """What some work on a picture gives, or the problem with the picture."""
    try:
        return work()
    except ImageError as error:
        return of_error(error, request_id=request_id, filename=picture.filename)
    except Exception as error:
        # The model answered its golden images when it was loaded, so this picture is what it cannot take. The fault is
        # ours, and for the client it is a picture that has no answer. The log gets the kind of error, no content.
        log.exception("Request %s: a picture of %d bytes broke the prediction.", request_id, len(picture.data))
        refusal = ProblemError("undecodable-image", f"The picture cannot be read: {type(error).__name__}.")
        return of_error(refusal, request_id=request_id, filename=picture.filename)


def answer_one(served: Served, picture: Picture, request_id: str, abstains: bool) -> PictureResult:
    """The answer of one model for one picture, or the problem with the picture."""
    outcome = "unreadable"

    def score() -> ScoredImage:
        nonlocal outcome
        try:
            return served.bundle.score(picture.data)
        except ImageError as error:
            outcome = "refused" if error.reason else "unreadable"
            raise
        except Exception:
            outcome = "error"
            raise

    begun = time.perf_counter()
    answer = guarded(score, picture, request_id)
    seconds = time.perf_counter() - begun
    if isinstance(answer, Problem):
        return PictureResult(answer=answer, outcome=outcome, seconds=seconds)
    fields = answer_fields(served, answer, picture, request_id, abstains=abstains)
    finite = math.isfinite(answer.probability)
    return PictureResult(
        answer=fields,
        features=None if isinstance(fields, Problem) else answer.examined.features,
        outcome=answer.label if finite else "error",
        probability=answer.probability if finite else None,
        seconds=seconds,
        sha256="" if isinstance(fields, Problem) else hashlib.sha256(picture.data).hexdigest(),
        aspect=answer.examined.looked.aspect,
    )


def answer_fields(
    served: Served, answer: ScoredImage, picture: Picture, request_id: str, *, abstains: bool
) -> dict[str, Any] | Problem:
    """The fields that every kind of answer has; a problem where the model has none that may be given."""
    if not math.isfinite(answer.probability):
        detail = "The model's answer is not a number for this picture; check that it is a chest X-ray."
        return problem("no-finite-answer", detail, request_id=request_id, filename=picture.filename)
    if abstains and answer.unsure:
        return problem("unsure", ABSTAINS, request_id=request_id, filename=picture.filename)
    return {
        "label": answer.label,
        "probability": answer.probability,
        "threshold": served.bundle.threshold,
        "warnings": [PredictionWarning(code=doubt.code, detail=doubt.detail) for doubt in answer.doubts],
        "model": reference(served),
        "request_id": request_id,
        "filename": picture.filename,
    }


def reference(served: Served) -> ModelReference:
    """The version as answers name it."""
    version = served.version
    return ModelReference(name=version.name, version=version.version, run_id=version.run_id)
