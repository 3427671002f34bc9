"""What tests of several rooms need: generated X-rays, a small fitted model, a registry of its own."""

import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.extract import extract
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.sources import open_source
from registry.model.bundle import write_bundle
from registry.model.out_of_distribution import OutOfDistributionDetector
from registry.model.versions import client
from registry.settings import ROOT, Settings
from tests.detectors import detector_of

# Rooms whose tests start Ray: each room's stay in one process, one after another, because several of Ray that start at
# once on a small machine take longer than Ray gives itself.
_ROOMS = {"serve": "serve"} | dict.fromkeys(("behaviour", "benchmarks", "contract", "e2e", "ray_jobs"), "jobs")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run in several processes: those of a room in one of them, and otherwise those of a file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return _ROOMS.get(file.split("/")[1], file)

    return ByRoom(config, log)


@pytest.fixture(autouse=True)
def _log_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test's process is told to log, and how, ends with the test."""
    monkeypatch.setattr(logging.getLogger(), "handlers", logging.getLogger().handlers)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


@pytest.fixture(scope="session")
def xrays() -> tuple[list[bytes], np.ndarray]:
    """Sixty generated X-rays and their labels, 0 or 1."""
    source = open_source("synthetic:60")
    paths = sorted(entry.path for entry in source.entries())
    return [source.read(path) for path in paths], np.array([int("PNEUMONIA" in path) for path in paths])


@pytest.fixture(scope="session")
def fitted(xrays: tuple[list[bytes], np.ndarray]):
    """A classifier that has seen those X-rays."""
    images, labels = xrays
    matrix = np.stack([extract(image, DEFAULT_SPEC) for image in images])
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(matrix, labels)


@pytest.fixture(scope="session")
def detector(xrays: tuple[list[bytes], np.ndarray]) -> OutOfDistributionDetector:
    """What those X-rays look like."""
    images, labels = xrays
    return detector_of(np.stack([extract(image, DEFAULT_SPEC) for image in images]), labels)


@pytest.fixture(scope="session")
def make_bundle(fitted, detector: OutOfDistributionDetector, xrays: tuple[list[bytes], np.ndarray]):
    """Write a sound bundle into a folder; returns its digest."""

    def make(folder: Path, *, threshold: float = 0.5, estimator=fitted) -> str:
        return write_bundle(
            folder,
            estimator=estimator,
            spec=DEFAULT_SPEC,
            threshold=threshold,
            detector=detector,
            evaluation={"held_out": {"auc": {"value": 0.97, "low": 0.95, "high": 0.99}}},
            golden_images=xrays[0][:3],
        )

    return make


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in them: copying it is quicker than making it."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client(Settings(mlflow_tracking_uri=f"sqlite:///{path}")).search_experiments()
    return path


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    """Settings of a registry and a state folder that are this test's alone."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Settings(
        mlflow_tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
        state_uri=str(tmp_path / "state"),
        data_uri="synthetic:120",
        ray_address=None,
    )


@pytest.fixture
def run_id(settings: Settings, tmp_path: Path) -> str:
    """A run that may register one version; `new_run` makes more."""
    return new_run(settings, tmp_path)


def new_run(settings: Settings, tmp_path: Path) -> str:
    """Start a run in the test's own experiment."""
    mlflow_client = client(settings)
    experiment = mlflow_client.get_experiment_by_name("test")
    experiment_id = (
        experiment.experiment_id
        if experiment
        else mlflow_client.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    )
    return mlflow_client.create_run(experiment_id).info.run_id


@pytest.fixture(scope="session")
def real_xrays() -> Path:
    """The folder of real X-rays, for tests that need them."""
    folder = Path(os.environ.get("HM_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "chest-xray-224").is_dir():
        pytest.skip(reason=f"no real X-rays at {folder}; set HM_DATA to a folder that holds chest-xray-224")
    return folder


@pytest.fixture(scope="session")
def aws_server() -> Iterator[str]:
    """The address of moto's AWS, S3 among it, on a free port of this machine; all tests share what it holds."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(aws_server: str, monkeypatch: pytest.MonkeyPatch):
    """A client of that server, and the AWS variables by which our code finds it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL_S3": aws_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return boto3.session.Session().client("s3")


@pytest.fixture
def bucket(s3, request: pytest.FixtureRequest) -> str:
    """An empty bucket of this test's alone."""
    name = f"b{abs(hash(request.node.nodeid)) % 10**12}"
    s3.create_bucket(Bucket=name)
    return name
