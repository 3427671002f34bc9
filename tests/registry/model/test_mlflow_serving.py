"""`mlflow models serve` of a registered version answers as our own server does."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from registry.model.versions import fetch, register
from registry.settings import Settings
from tests.behaviour.not_xrays import generated
from tests.conftest import new_run
from tests.serve.support.waiting import free_port, until
from tests.tolerances import ANSWER


@pytest.fixture
def version(settings: Settings, tmp_path, make_bundle):
    make_bundle(tmp_path / "bundle")
    return register(settings, run_id=new_run(settings, tmp_path), bundle_folder=tmp_path / "bundle")


@pytest.fixture
def address(settings: Settings, version, tmp_path) -> Iterator[str]:
    """MLflow's own scoring server with that version, in a folder where nothing of this project can be imported."""
    port = free_port()
    arguments = ["models", "serve", "-m", f"models:/{version.name}/{version.version}", "--env-manager", "local"]
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": settings.tracking_uri, "PYTHONPATH": ""}
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:{environment['PATH']}"  # noqa: PTH120
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)

    def answers() -> bool:
        assert server.poll() is None, (tmp_path / "log").read_text()
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/ping", timeout=2).is_success
        return False

    try:
        until(answers, seconds=120)  # MLflow and our code are imported first
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
        log.close()


def test_mlflow_models_serve_gives_the_same_probabilities(settings, version, address, xrays, tmp_path):
    images = xrays[0][:8]
    rows = [[base64.b64encode(image).decode()] for image in images]
    answer = httpx.post(
        f"{address}/invocations", json={"dataframe_split": {"columns": ["image"], "data": rows}}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    bundle = fetch(settings, version, tmp_path / "fetched")
    for row, image in zip(answer.json()["predictions"], images, strict=True):
        expected = bundle.score(image)
        assert row["probability"] == pytest.approx(expected.probability, abs=ANSWER)
        assert row["label"] == expected.label
    for wrong, reason in (
        (b"nothing", "not JPEG, PNG or DICOM"),
        (generated("hand", 1)[0], "two lungs side by side are not found"),
    ):
        broken = {"dataframe_split": {"columns": ["image"], "data": [*rows, [base64.b64encode(wrong).decode()]]}}
        refused = httpx.post(f"{address}/invocations", json=broken, timeout=60)
        assert refused.status_code == 400
        assert reason in refused.text
