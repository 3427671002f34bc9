"""The journey of batch scoring, as a person starts it: killed and resumed, into a bucket, and beside the page."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import httpx
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import S3FileSystem

from ray_jobs.dataset.synthetic import chest_picture
from ray_jobs.scoring import SCHEMA
from registry.model.bundle import read_bundle
from registry.model.versions import register
from registry.production.promotion import promote
from registry.settings import ROOT, Settings
from serve.api import create_app
from serve.production.model import Holder, Served
from tests.conftest import new_run
from tests.features.raw_dicom import made, numbers, table, text
from tests.serve.support.live import running

CASES = ROOT.parent / "shared" / "cases"
PICTURES = 130  # three batches


@pytest.fixture
def version(settings: Settings, make_bundle, tmp_path: Path):
    """A model in Production."""
    folder = tmp_path / "bundle"
    make_bundle(folder)
    made_version = register(settings, run_id=new_run(settings, tmp_path), bundle_folder=folder)
    promote(settings, made_version, why="a test")
    return made_version


def predict(settings: Settings, data: Path, out: str) -> subprocess.Popen[str]:
    variables = {
        **os.environ,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "STATE_URI": settings.state_uri,
        "RAY_ADDRESS": "",
    }
    command = [sys.executable, "-m", "ray_jobs.predict", "--data", str(data), "--out", out]
    return subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said


def kept(settings: Settings) -> list[Path]:
    return sorted(Path(settings.state_uri, "scores").glob("*/[0-9]*.parquet"))


def test_a_scoring_that_was_killed_goes_on_from_what_it_kept_and_ends_in_a_bucket(settings, version, bucket, tmp_path):
    data = tmp_path / "pictures"
    data.mkdir()
    for number in range(PICTURES):
        picture = chest_picture(patient=number, picture=0, label="NORMAL")
        (data / f"{number:03}.jpeg").write_bytes(picture)
    out = f"s3://{bucket}/answers of today/out.parquet"
    first = predict(settings, data, out)
    while not kept(settings):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    batch = kept(settings)[0]
    rows = pq.read_table(batch, schema=SCHEMA)
    marked = rows.set_column(1, SCHEMA.field("probability"), [[0.125] * len(rows)])
    pq.write_table(marked, batch)
    ended(predict(settings, data, out))
    place = S3FileSystem(region="us-east-1", scheme="http", endpoint_override=os.environ["AWS_ENDPOINT_URL_S3"][7:])
    answers = pq.read_table(out.removeprefix("s3://"), filesystem=place)
    assert answers.schema.names == SCHEMA.names
    assert answers.column("path").to_pylist() == [f"{number:03}.jpeg" for number in range(PICTURES)]
    from_before = np.equal(answers.column("probability").to_pylist(), 0.125)
    assert from_before.sum() == len(rows)
    assert not from_before.all()
    assert kept(settings) == []


RAMP = np.add.outer(np.arange(240), np.arange(256)).astype(np.uint16) * 8
WINDOW = {"WindowCenter": text("DS", "2000"), "WindowWidth": text("DS", "4000")}


def dicoms() -> dict[str, bytes]:
    """What the cases from the field hold, made here, with the like; and the cases themselves where they are."""
    shaded = chest(240, 256)
    padded = np.pad(shaded.astype(np.int16), 16, constant_values=-32768)
    generated = {
        "padding-signed-no-window": made(padded, PixelPaddingValue=numbers("SS", -32768)),
        "rescale-empty": made(shaded, RescaleSlope=text("DS", ""), RescaleIntercept=text("DS", "")),
        "voi-function-empty": made(shaded, **WINDOW, VOILUTFunction=text("CS", "")),
        "window-width-zero": made(shaded, WindowCenter=text("DS", "2000"), WindowWidth=text("DS", "0")),
        "window-beside": made(shaded, WindowCenter=text("DS", "60000"), WindowWidth=text("DS", "9")),
        "high-bit-15-of-12": made(shaded << 4, BitsStored=numbers("US", 12), HighBit=numbers("US", 15)),
        "bits-stored-17": made(shaded, BitsStored=numbers("US", 17)),
        "comma": made(shaded, RescaleSlope=text("DS", "0,5"), RescaleIntercept=text("DS", "0")),
        "short-table": made(shaded, VOILUTSequence=("SQ", table(0, RAMP.ravel()[:9], count=99))),
        "palette": made(shaded, PhotometricInterpretation=text("CS", "PALETTE COLOR")),
        "cut": made(shaded)[:20_000],
    }
    cases = {f"case-{file.stem}": file.read_bytes() for file in sorted(CASES.glob("*.dcm"))}
    return {f"{name}.dcm": content for name, content in {**generated, **cases}.items()}


def chest(rows: int, columns: int) -> np.ndarray:
    """A generated X-ray as 12-bit values."""
    picture = cv2.imdecode(
        np.frombuffer(chest_picture(patient=1, picture=0, label="NORMAL"), np.uint8), cv2.IMREAD_GRAYSCALE
    )
    return cv2.resize(picture, (columns, rows)).astype(np.uint16) * 16


def test_every_dicom_is_answered_alike_by_the_page_and_by_batch_scoring(settings, version, tmp_path):
    data = tmp_path / "dicoms"
    data.mkdir()
    files = dicoms()
    for name, content in files.items():
        (data / name).write_bytes(content)
    ended(predict(settings, data, str(tmp_path / "out.csv")))
    rows = {row["path"]: row for row in pyarrow.csv.read_csv(tmp_path / "out.csv").to_pylist()}
    assert rows.keys() == files.keys()
    bundle = read_bundle(tmp_path / "bundle", digest=version.digest)
    served = Served(version=version, bundle=bundle, since=datetime.now(UTC), source="registry")
    codes = dict[str, str]()
    with running(create_app(Holder(served=served), settings=settings)) as url:
        for name, content in files.items():
            answer = httpx.post(f"{url}/predict", content=content, headers={"Content-Type": "application/dicom"})
            body = answer.json()
            if answer.status_code == 200:
                # One machine and one code; JSON and Parquet keep all but the last digit.
                assert rows[name]["probability"] == pytest.approx(body["probability"], abs=1e-9), name
            codes[name.removesuffix(".dcm")] = body.get("code", "")
            assert rows[name]["error"] == body.get("detail", ""), name
    unread = {name: code for name, code in codes.items() if code not in ("", "not-a-chest-xray")}
    assert unread == {
        "bits-stored-17": "undecodable-image",
        "cut": "undecodable-image",
        "palette": "unsupported-image",
    }
