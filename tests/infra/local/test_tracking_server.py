"""What the log of MLflow's server in its container tells, with a real server."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from infra.settings import ROOT
from tests.serve.support.waiting import free_port

IMAGES = ROOT / "compose" / "images"
API = "/api/2.0/mlflow"


def test_of_requests_the_log_tells_those_that_change_something_and_no_look(tmp_path: Path):
    port = free_port()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(IMAGES / "proxied"),
        "TMPDIR": str(tmp_path),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(tmp_path / "artefacts"),
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    log = tmp_path / "log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, IMAGES / "tracking-server"], cwd=tmp_path, env=environment, stdout=written, stderr=written
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while not _is_well(client):
                assert server.poll() is None, log.read_text()
                time.sleep(0.2)
            nothing = client.get(f"{API}/registered-models/alias", params={"name": "x", "alias": "y"})
            made = client.post(f"{API}/experiments/create", json={"name": "told"})
            assert (nothing.status_code, made.status_code) == (404, 200)
    finally:
        server.terminate()
        server.wait()
    told = [line.partition(" - ")[2] for line in log.read_text().splitlines() if "HTTP/1.1" in line]
    assert told == [f'"POST {API}/experiments/create HTTP/1.1" 200 OK']
    assert "Application startup complete." in log.read_text()


def _is_well(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False
