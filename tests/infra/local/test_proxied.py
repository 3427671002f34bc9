"""MLflow's files reach a client that reaches MLflow alone, as one does outside of the containers' network."""

from collections.abc import Iterator
from pathlib import Path

import mlflow.artifacts
import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from infra.settings import ROOT
from tests.serve.support.fault_proxy import MlflowServer
from tests.serve.support.waiting import free_port


@pytest.fixture
def address(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow's server as its image has it, over an S3 store that this process can't reach."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "compose" / "images" / "proxied"))
    server = MlflowServer(tmp_path, artifacts=f"s3://{bucket}/files")
    # Nobody listens there. The store is at 127.0.0.1, MLflow by this name at localhost.
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "localhost")
    yield f"http://localhost:{server.port}"
    server.kill()


def test_a_client_needs_no_way_to_the_store(address: str, s3, bucket: str, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1")  # what is large goes the same way
    client = MlflowClient(address)
    run = client.create_run(client.create_experiment("files"))

    client.log_text(run.info.run_id, "what it says", "folder/a.txt")

    assert [one.path for one in client.list_artifacts(run.info.run_id, "folder")] == ["folder/a.txt"]
    got = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="folder", dst_path=str(tmp_path), tracking_uri=address
    )
    assert Path(got, "a.txt").read_text() == "what it says"
    get_artifact_repository(run.info.artifact_uri, tracking_uri=address).delete_artifacts("folder")
    assert client.list_artifacts(run.info.run_id) == []
