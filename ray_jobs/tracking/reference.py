"""What drift is measured against: features and scores of held-out X-rays, kept with the run that trained a version."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.base import BaseEstimator

from registry.errors import FixableError
from registry.estimator import probability
from registry.settings import Settings
from registry.versions import ModelVersion, client

ROWS = 1_000
_PATH = "reference/held_out.parquet"


class NoReferenceError(FixableError):
    """The training run of a version kept no reference that drift can be measured against."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Features, float32 (M, D), and probabilities, float64 (M,), of X-rays that no fitting saw."""

    features: np.ndarray
    scores: np.ndarray


def log_reference(mlflow_client: MlflowClient, run_id: str, features: np.ndarray, estimator: BaseEstimator) -> None:
    """Keep up to a thousand rows of held-out features (N, D) and their scores with a run; no paths, no patients."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(features))[:ROWS])
    rows = features[chosen].astype(np.float32)
    scores = probability(estimator, rows)
    table = pa.table(
        {
            "probability": pa.array(scores, pa.float64()),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1]),
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / Path(_PATH).name
        pq.write_table(table, file, compression="zstd", use_byte_stream_split=["features.list.element"])
        mlflow_client.log_artifact(run_id, str(file), str(Path(_PATH).parent))


def read_reference(settings: Settings, version: ModelVersion) -> Reference:
    """The reference of the run that trained a version; raises NoReferenceError where it kept none."""
    uri = settings.tracking_uri
    with tempfile.TemporaryDirectory() as scratch:
        client(settings)
        try:
            file = mlflow.artifacts.download_artifacts(
                run_id=version.run_id, artifact_path=_PATH, dst_path=scratch, tracking_uri=uri
            )
        except (MlflowException, OSError) as error:
            raise NoReferenceError(
                f"Drift is measured against {_PATH}, which the run of {version} did not keep; train a new version."
            ) from error
        table = pq.read_table(file)
    values = table.column("features").combine_chunks()
    features = np.asarray(values.flatten(), dtype=np.float32).reshape(len(table), -1)
    return Reference(features=features, scores=table.column("probability").to_numpy())
