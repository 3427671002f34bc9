"""An answer as a DICOM structured report (TID 1500), which refers to its X-ray and holds nothing else of its header.

De-identified after PS3.15, Annex E, Basic Application Level Confidentiality Profile with the option Retain UIDs: what
is copied is a list, and whatever is not on it, private elements too, stays behind. The UIDs stay, because without them
no archive knows which X-ray a report is about.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from features.reading import dicom
from features.reading.decode import DEFAULT_LIMITS
from features.reading.errors import ImageError
from registry.errors import FixableError

MEDIA_TYPE = "application/dicom"
# All that is read of the X-ray's header.
COPIED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Of the patient and the study, the report's form asks for these elements; they are there and empty.
EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_SCHEME = "99HMMLFLOW"
_MAKER = "HM-mlflow"
_NOTICE = "Research and teaching only. Not a medical device; never base a decision about a patient on it."


class NoReportError(FixableError):
    """There can be no report about a picture; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What a report says: the answer, the version that gave it by name, number and digest, and codes of warnings."""

    label: str
    probability: float
    threshold: float
    warnings: Sequence[str]
    model: str
    version: int
    digest: str


def reference_of(data: bytes) -> Dataset:
    """What a report copies of a DICOM file's header.

    Raises
    ------
    NoReportError
        If the picture is no DICOM file, cannot be read, or lacks one of the UIDs.
    """
    if not dicom.begins(data[:132]):
        raise NoReportError("a structured report refers to a DICOM image, and this picture is none; send DICOM")
    try:
        found = dicom.texts(data, DEFAULT_LIMITS, *COPIED)
    except ImageError as error:
        raise NoReportError(str(error)) from error
    for name, value in found.items():
        if not UID(value, validation_mode=IGNORE).is_valid or not value:  # of one that is none it would warn
            raise NoReportError(
                f"the DICOM's {name} is missing or no UID, so no report can refer to it; export it again"
            )
    reference = Dataset()
    for name, value in found.items():
        setattr(reference, name, value)
    for name in EMPTY:
        setattr(reference, name, None)
    return reference


def structured_report(reference: Dataset, answer: Reported) -> bytes:
    """The report as a DICOM file; the same answer by the same version about the same X-ray has the same UID.

    Raises
    ------
    NoReportError
        If the X-ray is of a class that no report can refer to.
    """
    import highdicom  # noqa: PLC0415  it takes a second, and few need it

    instance = [reference.SOPInstanceUID, answer.digest, f"{answer.probability:.17g}", *answer.warnings]
    try:
        report: Any = highdicom.sr.ComprehensiveSR(
            evidence=[reference],
            content=_content(reference, answer),
            series_instance_uid=generate_uid(entropy_srcs=[reference.SeriesInstanceUID, answer.digest]),
            series_number=1,
            sop_instance_uid=generate_uid(entropy_srcs=instance),
            instance_number=1,
            manufacturer=_MAKER,
            is_complete=True,
            is_verified=False,
            series_description=f"{_MAKER}: research, not for diagnosis",
            software_versions=f"{answer.model} version {answer.version}",
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
    except KeyError as error:  # what highdicom raises for a class that it does not know, such as a private one
        raise NoReportError(
            "the DICOM's SOPClassUID is of no image that a report can refer to; export it as Digital or Computed "
            "Radiography"
        ) from error
    report.PatientIdentityRemoved = "YES"
    report.DeidentificationMethod = "PS3.15 Basic Profile, Retain UIDs"
    report.DeidentificationMethodCodeSequence = [
        _code("113100", "DCM", "Basic Application Confidentiality Profile"),
        _code("113110", "DCM", "Retain UIDs Option"),
    ]
    content = io.BytesIO()
    report.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _code(value: str, scheme: str, meaning: str) -> Any:
    from highdicom.sr import CodedConcept  # noqa: PLC0415

    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def _content(reference: Dataset, answer: Reported) -> Any:
    from highdicom import sr  # noqa: PLC0415

    pneumonia = _code("233604007", "SCT", "Pneumonia")
    present = _code("52101004", "SCT", "Present") if answer.label == "PNEUMONIA" else _code("2667000", "SCT", "Absent")
    ratio = _code("1", "UCUM", "no units")
    doubts = [
        sr.QualitativeEvaluation(_code("warning", _SCHEME, "Warning"), _code(one[:16], _SCHEME, one))
        for one in answer.warnings
    ]
    algorithm = sr.AlgorithmIdentification(
        name=f"{_MAKER} {answer.model}",
        version=str(answer.version),
        parameters=[f"digest {answer.digest}", _NOTICE],
        manufacturer=_MAKER,
    )
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[_MAKER, answer.digest]), name=_MAKER, model_name=answer.model
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=generate_uid(entropy_srcs=[reference.SOPInstanceUID, answer.digest, "tracking"]),
            identifier="pneumonia",
        ),
        finding_type=pneumonia,
        algorithm_id=algorithm,
        measurements=[
            sr.Measurement(_code("probability", _SCHEME, "Probability of pneumonia"), answer.probability, ratio),
            sr.Measurement(_code("threshold", _SCHEME, "Threshold of the probability"), answer.threshold, ratio),
        ],
        qualitative_evaluations=[sr.QualitativeEvaluation(pneumonia, present), *doubts],
        source_images=[sr.SourceImageForMeasurementGroup(reference.SOPClassUID, reference.SOPInstanceUID)],
    )
    observer = sr.ObserverContext(_code("121007", "DCM", "Device"), device)
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=_code("399208008", "SCT", "Chest X-ray"),
        imaging_measurements=[group],
    )
