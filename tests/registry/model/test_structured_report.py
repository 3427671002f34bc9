"""Structured reports: what they say, what they refer to, and that nothing else of the X-ray's header is in them."""

import io
import zlib

import highdicom
import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from registry.model.structured_report import COPIED, EMPTY, NoReportError, Reported, reference_of, structured_report
from tests.features.images import DIGITAL_XRAY, dicom, picture
from tests.features.raw_dicom import file_of, image, text

TOLD = Reported(
    label="PNEUMONIA",
    probability=0.875,
    threshold=0.5,
    warnings=("near-threshold",),
    model="pneumonia",
    version=7,
    digest="d" * 64,
)
# Elements of PS3.15, Table E.1-1, with text that a person could be known by, and some that only look harmless.
IDENTIFYING = (
    *("PatientName", "PatientID", "OtherPatientNames", "PatientAddress", "PatientTelephoneNumbers", "PatientComments"),
    *("PatientMotherBirthName", "MilitaryRank", "EthnicGroup", "Occupation", "AdditionalPatientHistory", "Allergies"),
    *("AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber"),
    *(
        "ReferringPhysicianName",
        "PerformingPhysicianName",
        "OperatorsName",
        "PhysiciansOfRecord",
        "RequestingPhysician",
    ),
    *(
        "RequestedProcedureDescription",
        "PerformedProcedureStepDescription",
        "DerivationDescription",
        "ContentCreatorName",
    ),
)
SECRET = "Zq7Secret"
REFERRED = {name: text("UI", f"1.2.{number}") for number, name in enumerate(COPIED, 3)}
REFERRED["SOPClassUID"] = text("UI", DIGITAL_XRAY)


def xray(**elements: object) -> bytes:
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    return dicom(picture(), **(uids | elements))


def read(report: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(report))


def test_a_report_says_the_answer_and_refers_to_its_xray():
    data = xray()
    source, report = read(data), read(structured_report(reference_of(data), TOLD))

    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert report.StudyInstanceUID == source.StudyInstanceUID
    parsed = highdicom.sr.srread(io.BytesIO(structured_report(reference_of(data), TOLD)))
    [group] = parsed.content.get_image_measurement_groups()
    values = {item.name.meaning: item.value for item in group.get_measurements()}
    assert values == {"Probability of pneumonia": 0.875, "Threshold of the probability": 0.5}
    said = [(item.name.meaning, item.value.meaning) for item in group.get_qualitative_evaluations()]
    assert said == [("Pneumonia", "Present"), ("Warning", "near-threshold")]
    assert [image.referenced_sop_instance_uid for image in group.source_images] == [source.SOPInstanceUID]
    normal = Reported(**{**TOLD.__dict__, "label": "NORMAL", "warnings": ()})
    assert "Absent" in str(read(structured_report(reference_of(data), normal)))


def test_nothing_that_tells_who_the_patient_is_gets_into_a_report():
    secrets: dict[str, object] = {}
    for name in IDENTIFYING:
        vr = dictionary_VR(name)
        assert vr in ("PN", "LO", "SH", "ST", "LT", "UT"), (name, vr)
        secrets[name] = SECRET
    private = pydicom.Dataset()
    private.PatientName = SECRET
    secrets |= {
        "PatientBirthDate": "20190102",
        "StudyDate": "20260304",
        "ReferencedPatientSequence": Sequence([private]),
    }
    data = read(xray(**secrets))
    block = data.private_block(0x0011, SECRET, create=True)
    block.add_new(1, "LO", SECRET)
    written = io.BytesIO()
    data.save_as(written)
    assert written.getvalue().count(SECRET.encode()) > len(IDENTIFYING)

    report = structured_report(reference_of(written.getvalue()), TOLD)

    for hidden in (SECRET, "20190102", "20260304"):
        assert hidden.encode() not in report
    parsed = read(report)
    assert {name: parsed.get(name) or "" for name in EMPTY} == dict.fromkeys(EMPTY, "")
    assert parsed.PatientIdentityRemoved == "YES"
    methods = [item.CodeValue for item in parsed.DeidentificationMethodCodeSequence]
    assert methods == ["113100", "113110"]


def test_the_same_answer_about_the_same_xray_is_the_same_report():
    data = xray()
    first, second = (read(structured_report(reference_of(data), TOLD)) for _ in range(2))
    assert first.SOPInstanceUID == second.SOPInstanceUID
    another = read(structured_report(reference_of(data), Reported(**{**TOLD.__dict__, "digest": "e" * 64})))
    assert another.SOPInstanceUID != first.SOPInstanceUID


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 200, "this picture is none; send DICOM"),
        (dicom(picture()), "StudyInstanceUID is missing"),
        (xray(SOPInstanceUID="")[:], "SOPInstanceUID is missing"),
        (b"\0" * 128 + b"DICM" + zlib.compress(b"?" * 99), "does not end within the file|is missing"),
        (xray()[:140], "is cut short inside its file header"),
    ],
)
def test_what_no_report_can_refer_to_is_told(data: bytes, why: str):
    with pytest.raises(NoReportError, match=why):
        reference_of(data)


@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, None])
def test_a_report_refers_to_every_xray_that_can_be_read(preamble: bool, syntax: str | None):
    data = file_of({**REFERRED, **image(picture())}, syntax=syntax, preamble=preamble, meta=preamble)
    parsed = read(structured_report(reference_of(data), TOLD))
    assert parsed.StudyInstanceUID == "1.2.5"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", COPIED)
@pytest.mark.parametrize("value", [("UI", SECRET.encode()), ("LO", SECRET.encode()), ("US", b"\1\0\2\0"), ("SQ", b"x")])
def test_a_header_that_names_no_uid_is_told_and_not_repeated(
    name: str, value: tuple[str, bytes], caplog: pytest.LogCaptureFixture
):
    with pytest.raises(NoReportError, match=f"the DICOM's {name} is missing or no UID") as told:
        reference_of(file_of({**REFERRED, **image(picture()), name: value}))
    assert SECRET.lower() not in f"{told.value} {caplog.text}".lower()


@pytest.mark.parametrize("uid", ["1.2.840.99999.7", "1.2.840.10008.1.2"])
def test_a_class_that_no_report_can_refer_to_is_told_and_not_repeated(uid: str):
    data = file_of({**REFERRED, **image(picture()), "SOPClassUID": text("UI", uid)})
    with pytest.raises(NoReportError, match="SOPClassUID is of no image that a report can refer to") as told:
        structured_report(reference_of(data), TOLD)
    assert uid not in str(told.value)
