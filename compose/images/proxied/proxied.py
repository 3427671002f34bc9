"""Files in S3 that clients get from MLflow's server alone: a plugin of MLflow's, which takes the place of its own.

MLflow by itself sends clients to the store, by an address that it signs. That is the store's address among containers,
`http://minio:9000`, which nobody else on the machine can reach.
"""

from pathlib import Path
from typing import Any

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository


class Proxied(ArtifactRepository):
    """MLflow's own store, without what it would sign; a client that asks for that is told to use the server."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._store = S3ArtifactRepository(artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        self._store.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        self._store.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        found: list[FileInfo] = self._store.list_artifacts(path)
        return found

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        self._store.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str | Path) -> Any:
        return self._store._download_file(remote_file_path, local_path)
