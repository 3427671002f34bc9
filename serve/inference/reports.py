"""An answer as a DICOM structured report, for who asks for `application/dicom`: one X-ray, sent as DICOM."""

from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import Response

from features.reading import dicom
from registry.model.structured_report import MEDIA_TYPE, NoReportError, Reported, reference_of, structured_report
from serve.http.problems import ProblemError
from serve.http.uploads import Picture
from serve.production.model import Served
from serve.schemas import Prediction

PREDICTION_ID = "X-Prediction-Id"


def wants_report(request: Request) -> bool:
    """Whether the client prefers a report: it names its media type before JSON's."""
    taken = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    if MEDIA_TYPE not in taken:
        return False
    return "application/json" not in taken or taken.index(MEDIA_TYPE) < taken.index("application/json")


def check_pictures(pictures: Sequence[Picture]) -> None:
    """Raise ProblemError `no-report` for more than one picture, or one that is no DICOM file."""
    if len(pictures) != 1:
        raise ProblemError(
            "no-report", f"{len(pictures)} pictures were sent; a report is about one, so send one a time."
        )
    if not dicom.begins(pictures[0].data[:132]):
        raise ProblemError(
            "no-report", "A report refers to a DICOM image, and the picture is none; send DICOM, or ask for JSON."
        )


def report(served: Served, picture: Picture, prediction: Prediction) -> Response:
    """The report on a picture that was answered; raises ProblemError `no-report` where its header names no UIDs."""
    reported = Reported(
        label=prediction.label,
        probability=prediction.probability,
        threshold=prediction.threshold,
        warnings=[warning.code for warning in prediction.warnings],
        model=served.version.name,
        version=served.version.version,
        digest=served.version.digest,
    )
    try:
        content = structured_report(reference_of(picture.data), reported)
    except NoReportError as error:
        raise ProblemError("no-report", f"{error}.") from error
    return Response(content, media_type=MEDIA_TYPE, headers={PREDICTION_ID: prediction.id})
