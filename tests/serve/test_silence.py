"""Nothing that an uploaded file says of a patient reaches an answer, a log, a metric or a record of the server."""

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom.datadict import DicomDictionary
from pydicom.uid import ImplicitVRLittleEndian

from registry.settings import Settings
from registry.state import open_state
from serve.api import create_app
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Holder
from tests.features.images import jpeg, picture, png, png_chunk
from tests.features.raw_dicom import data_set, element, file_of, image, numbers, text
from tests.serve.support.waiting import until

NAME = "Mustermann^Erika"
TEXTUAL = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
GREY = picture(64, 64)
SOUND = image(GREY)
READ = ("PhotometricInterpretation", "NumberOfFrames", "WindowCenter", "WindowWidth", "VOILUTFunction")
READ += ("RescaleSlope", "RescaleIntercept", "PresentationLUTShape", "Rows", "BitsAllocated", "BitsStored", "HighBit")
READ += ("PixelRepresentation", "SamplesPerPixel", "PixelPaddingValue", "PixelPaddingRangeLimit")


def named_everywhere() -> dict[str, tuple[str, bytes]]:
    """A sound picture with the name in every other text element of the standard's dictionary."""
    tags = {
        f"{tag:08X}": vr for tag, (vr, *_) in DicomDictionary.items() if vr in TEXTUAL and 0x8 <= tag >> 16 < 0x7FE0
    }
    taken = {f"{tag:08X}" for tag, (*_, keyword) in DicomDictionary.items() if keyword in (*READ, *SOUND)}
    named = {tag: text(vr, NAME) for tag, vr in tags.items() if tag not in taken}
    item = data_set({"PatientName": text("PN", NAME), "SpecificCharacterSet": text("CS", NAME)})
    nested = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    return {**named, "ReferencedStudySequence": ("SQ", nested), "00091001": text("LO", NAME), **SOUND}


def dicoms() -> Iterator[bytes]:
    everywhere = named_everywhere()
    assert len(everywhere) > 2_000
    yield file_of(everywhere)
    yield file_of(everywhere, syntax=ImplicitVRLittleEndian)
    yield file_of(everywhere, syntax=NAME)
    yield file_of(everywhere, preamble=False, meta=False)
    yield file_of(everywhere)[:-5_000]
    yield file_of({}) + element(0x00100010, "PN", NAME.encode() * 20)[:-9]
    for keyword in READ:
        for value in (text("LO", NAME), text("UN", NAME), ("US", NAME.encode()[:4])):
            yield file_of({"PatientName": text("PN", NAME), **SOUND, keyword: value})
    yield file_of({**everywhere, "PixelData": text("OW", NAME)})
    yield file_of({**everywhere, "VOILUTSequence": text("SQ", NAME), "NumberOfFrames": numbers("US", 3)})


def pictures() -> Iterator[bytes]:
    whole, name = png(GREY), NAME.encode()
    texts = png_chunk(b"tEXt", b"Patient\x00" + name) + png_chunk(b"iCCP", name + b"\x00\x00" + zlib.compress(name))
    yield whole[:33] + texts + whole[33:]
    yield whole[:33] + struct.pack(">I4s", 16, b"tEXt") + name + bytes(4) + whole[33:]  # its checksum is wrong
    yield whole[:33] + struct.pack(">I4s", 900, name[:4]) + whole[33:]
    yield whole[:33] + png_chunk(name[:4], name) + whole[33:]
    photo = jpeg(GREY)
    comment = b"\xff\xfe" + struct.pack(">H", len(name) + 2) + name
    yield photo[:2] + comment + name + photo[2:]
    yield photo[:2] + comment + photo[2:-700]
    yield from (name, b"GIF89a" + name, name[:4], b"\x08\x00" + name)


@pytest.fixture
def client(holder: Holder, settings: Settings) -> Iterator[TestClient]:
    metrics = Metrics()
    recorder = PredictionRecorder(lambda: open_state(str(settings.state_uri)), metrics, flush_s=0.05)
    app = create_app(holder, settings=settings, metrics=metrics, recorder=recorder)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_no_text_of_an_uploaded_file_is_written_anywhere(
    client: TestClient,
    settings: Settings,
    xray: bytes,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    written: list[str] = []
    grey = cv2.imdecode(np.frombuffer(xray, np.uint8), cv2.IMREAD_GRAYSCALE)
    sound = file_of(named_everywhere() | image(grey))
    answer = client.post("/predict", content=sound, headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 200
    written += [answer.text, str(answer.headers)]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for number, data in enumerate((*dicoms(), *pictures())):
            for path in ("/predict", "/explain")[: 2 if number < 3 else 1]:
                answer = client.post(path, content=data, headers={"Content-Type": "application/octet-stream"})
                assert answer.status_code in (200, 415, 422), answer.text
                written += [answer.text, str(answer.headers)]
            if number < 9:
                headers = {"Content-Type": "application/dicom", "Accept": "application/dicom"}
                answer = client.post("/predict", content=data, headers=headers)
                assert answer.status_code in (406, 415, 422), answer.text
                written.append(answer.text)
        for form in (f"--y\r\n{NAME}", f'--y\r\nContent-Disposition: form-data; name="file"\r\n\r\n{NAME}\r\n--{NAME}'):
            answer = client.post("/predict", content=form, headers={"Content-Type": "multipart/form-data; boundary=y"})
            assert answer.status_code in (400, 422)
            written.append(answer.text)
    written += [str(warning.message) for warning in warned]
    written += [client.get("/metrics").text, caplog.text, *capfd.readouterr()]
    state = Path(str(settings.state_uri))
    until(lambda: any(path.is_file() for path in state.rglob("records/**/*")))
    records = [path for path in state.rglob("*") if path.is_file()]
    written += [path.read_bytes().decode("latin-1") for path in records]
    told = "\n".join(written).lower()
    assert "problem" in told
    for part in ("mustermann", "erika", "4d7573746572", NAME.encode().hex(), "musterm"):
        assert part.lower() not in told, told[max(0, told.index(part.lower()) - 300) :][:600]
