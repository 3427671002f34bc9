"""The API's answer as a structured report, for who asks for DICOM."""

import io
from collections.abc import Iterator

import cv2
import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from pydicom.uid import generate_uid

from registry.settings import Settings
from serve.api import create_app
from serve.production.model import Holder
from tests.features.images import dicom
from tests.serve.support.models import GeneratedXrays

DICOM = {"Accept": "application/dicom", "Content-Type": "application/dicom"}


@pytest.fixture
def client(holder: Holder, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(holder, settings=settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def pixels(training_set: GeneratedXrays) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(training_set.images[1], np.uint8), cv2.IMREAD_GRAYSCALE)


def xray(pixels: np.ndarray) -> bytes:
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    return dicom(pixels, PatientName="Zq7Secret", **uids)


def test_a_dicom_gets_a_report_with_the_same_answer_as_in_json(client: TestClient, pixels: np.ndarray) -> None:
    data = xray(pixels)
    told = client.post("/predict", content=data, headers=DICOM)
    assert (told.status_code, told.headers["content-type"]) == (200, "application/dicom")
    said = client.post("/predict", content=data, headers={"Content-Type": "application/dicom"}).json()
    report = pydicom.dcmread(io.BytesIO(told.content))
    assert f"{said['probability']:.6g}"[:6] in str(report)
    assert b"Zq7Secret" not in told.content
    assert len(told.headers["x-prediction-id"]) == 36


def test_what_cannot_have_a_report_is_told_and_json_stays_the_default(
    client: TestClient, pixels: np.ndarray, training_set: GeneratedXrays
) -> None:
    picture = client.post("/predict", content=training_set.images[1], headers=DICOM | {"Content-Type": "image/jpeg"})
    assert (picture.status_code, picture.json()["code"]) == (406, "no-report")
    parts = [("file", (f"{index}.dcm", xray(pixels), "application/dicom")) for index in range(2)]
    several = client.post("/predict", files=parts, headers={"Accept": "application/dicom"})
    assert (several.status_code, "send one" in several.json()["detail"]) == (406, True)
    nameless = client.post("/predict", content=dicom(pixels), headers=DICOM)
    assert (nameless.status_code, "StudyInstanceUID" in nameless.json()["detail"]) == (406, True)
    either = DICOM | {"Accept": "application/json, application/dicom"}
    assert client.post("/predict", content=xray(pixels), headers=either).json()["label"]
