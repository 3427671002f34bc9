"""The answers of the API, as pydantic models: what `/openapi.json` describes is what is sent."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from features.reading.errors import Reason

Label = Literal["NORMAL", "PNEUMONIA"]


class ApiModel(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)


class ModelReference(ApiModel):
    """The version that computed an answer."""

    name: str
    version: int
    run_id: str


class PredictionWarning(ApiModel):
    """Why an answer should be taken with caution."""

    code: Literal["unlike-training", "coloured", "lungs-at-border", "generated-model", "near-threshold"]
    detail: str


class Opinion(ApiModel):
    """What a model says of one picture."""

    label: Label
    probability: FiniteFloat = Field(ge=0, le=1, description="Probability of PNEUMONIA, whatever the label.")
    threshold: FiniteFloat = Field(ge=0, le=1, description="The probability from which the label is PNEUMONIA.")
    warnings: list[PredictionWarning] = Field(default_factory=list, description="Empty for a usual picture.")
    model: ModelReference
    request_id: str
    filename: str | None = Field(None, description="As the client named it; absent for a raw body.")


class Prediction(Opinion):
    """The answer for one picture."""

    id: str = Field(description="The prediction's own id, unique, whatever `request_id` is. Feedback names it.")


class Explanation(Opinion):
    """The answer for one picture, and where in it the evidence lies."""

    contributions: list[list[FiniteFloat]] = Field(
        description="Rows of a grid over the picture, from the top: by how much the log-odds of PNEUMONIA fall where "
        "the picture is made like an average normal one around that place. Negative where that makes them rise."
    )


class Problem(ApiModel):
    """An error, RFC 9457; sent as `application/problem+json`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(description="Where this kind of problem is described, relative to this server.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str
    request_id: str
    filename: str | None = None
    reason: Reason | None = Field(None, description="What the picture is instead, with `not-a-chest-xray`.")


class Predictions(ApiModel):
    """The answers for several pictures, in the order they were sent; a picture that failed has its problem."""

    results: list[Prediction | Problem]
    model: ModelReference
    request_id: str


class FeedbackReceipt(ApiModel):
    """What is now kept under a prediction's id."""

    prediction_id: str
    version: int
    predicted: Label
    label: Label = Field(description="What the person says it is.")
    confirmed: bool
    time: datetime
    said_by: str | None = Field(None, description="The name of the API key that gave it; null without keys.")


class VersionFeedback(ApiModel):
    """How often people agreed with a version."""

    version: int
    confirmed: int
    corrected: int
    missed_pneumonia: int = Field(description="Corrected from NORMAL to PNEUMONIA.")
    false_alarms: int = Field(description="Corrected from PNEUMONIA to NORMAL.")


class FeedbackSummary(ApiModel):
    """What people said of predictions, by the version that made them."""

    versions: list[VersionFeedback]


class FailureReport(ApiModel):
    """Why Production is not what is served, and what to do."""

    code: str
    version: int | None
    detail: str
    remedy: str
    since: datetime


class RolloutReport(ApiModel):
    """A candidate beside the model that answers: unseen in a `shadow`, for a share of the requests in a `canary`."""

    kind: str
    version: int
    share: FiniteFloat
    since: datetime
    until: datetime
    who: str
    why: str
    loaded: bool = Field(description="Whether the replica that was asked has the candidate's model.")
    trouble: str | None = Field(description="Null, or why the candidate is not asked.")
    numbers: dict[str, FiniteFloat] = Field(description="What all replicas counted, some seconds ago.")


class ModelCard(ApiModel):
    """The model that answers now."""

    name: str
    version: int
    run_id: str
    digest: str
    threshold: FiniteFloat
    unsure: tuple[FiniteFloat, FiniteFloat] | None = Field(
        description="From and below which probability an answer is near the threshold; null if the version has none."
    )
    labels: tuple[str, str] = ("NORMAL", "PNEUMONIA")
    evaluation: dict[str, Any] = Field(description="Numbers on patients that no training saw, with their intervals.")
    spec_fingerprint: str
    features: int
    created: datetime
    serving_since: datetime
    source: Literal["registry", "disk"]
    failure: FailureReport | None = Field(description="Null, or why the version in Production is not the one served.")
    rollout: RolloutReport | None = Field(description="Null, or the candidate that is compared with it.")


class HealthReport(ApiModel):
    """A probe's answer."""

    status: Literal["alive", "ready"]
