"""What a version was judged by: features and scores of held-out X-rays, for its challengers and for drift."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import mlflow.artifacts
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.exceptions import MlflowException

from features.spec import FeatureSpec
from ray_jobs.learning.table import Rows
from ray_jobs.tracking.lineage import lineage_of
from registry.errors import FixableError
from registry.model.versions import ModelVersion, client
from registry.records.predictions import aspects, matrix
from registry.settings import Settings
from registry.state import State, open_state

ROWS = 10_000
_OLD_PATH = "reference/held_out.parquet"
_SPEC = b"hm-mlflow.spec"


class NoReferenceError(FixableError):
    """What a version was judged by was not kept, or is not what was kept."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Features, float32 (M, D), and probabilities, float64 (M,), of X-rays that no fitting saw.

    `aspects` (M,) are the widths of their lungs to the heights, NaN where nobody looked.
    """

    features: np.ndarray
    scores: np.ndarray
    aspects: np.ndarray


@dataclass(frozen=True, kw_only=True)
class JudgedReference(Reference):
    """A reference that challengers can be compared on: of each X-ray (M,) its sha256, label and group of its patient.

    `spec` is the JSON of the feature spec.
    """

    sha256: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    spec: str


def keep_reference(
    state: State, held_out: Rows, scores: np.ndarray, spec: FeatureSpec, aspects: Mapping[str, float] | None = None
) -> str:
    """Keep held-out X-rays, and a model's scores (N,) of them, in the state under the sha256 that is returned.

    `aspects` are of the lungs of some, by their sha256. Patients become numbers, and no picture and no path is kept. Of
    more than ten thousand X-rays, those of patients drawn at random are.
    """
    groups = np.unique(held_out.patients, return_inverse=True)[1]
    drawn = np.random.default_rng(0).permutation(groups.max() + 1)[groups]
    chosen = np.sort(np.argsort(drawn, kind="stable")[:ROWS])
    kept = np.isin(np.arange(len(held_out)), chosen)
    rows = held_out.only(kept).each(lambda piece: piece.features.astype(np.float32))
    table = pa.table(
        {
            "sha256": pa.array(held_out.sha256[chosen].tolist(), pa.string()),
            "label": pa.array(held_out.labels[chosen], pa.int64()),
            "group": pa.array(groups[chosen], pa.int64()),
            "probability": pa.array(scores[chosen], pa.float64()),
            "aspect": pa.array([(aspects or {}).get(name) for name in held_out.sha256[chosen]], pa.float64()),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1]),
        }
    ).replace_schema_metadata({_SPEC: spec.to_json()})
    return _keep(state, table)


def keep_scores(state: State, digest: str, scores: np.ndarray) -> str:
    """Keep the reference of a sha256 once more, with the scores (M,) of another model; return its sha256."""
    table = pq.read_table(BytesIO(state.read(_path(state, digest))))
    column = table.schema.get_field_index("probability")
    return _keep(state, table.set_column(column, "probability", pa.array(scores, pa.float64())))


def _keep(state: State, table: pa.Table) -> str:
    file = BytesIO()
    pq.write_table(table, file, compression="zstd", use_byte_stream_split=["features.list.element"])
    content = file.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    state.write(_path(state, digest), content)
    return digest


def load_reference(state: State, digest: str) -> JudgedReference:
    """The reference that was kept under a sha256.

    Raises
    ------
    NoReferenceError
        If the state has none, or its content has another sha256.
    """
    path = _path(state, digest)
    if not state.exists(path):
        raise NoReferenceError(f"{path} is missing; set STATE_URI to the state that the version was trained with.")
    content = state.read(path)
    actual = hashlib.sha256(content).hexdigest()
    if actual != digest:
        raise NoReferenceError(f"{path} has sha256 {actual}, so it was changed; bring back the file, or train again.")
    table = pq.read_table(BytesIO(content))
    return JudgedReference(
        features=matrix(table),
        scores=table.column("probability").to_numpy(),
        aspects=aspects(table),
        sha256=np.asarray(table.column("sha256").to_pylist()),
        labels=table.column("label").to_numpy(),
        groups=table.column("group").to_numpy(),
        spec=table.schema.metadata[_SPEC].decode(),
    )


def read_reference(settings: Settings, version: ModelVersion) -> Reference:
    """What a version was judged by, one X-ray of each patient, as what is compared with it has.

    Raises NoReferenceError where nothing was kept. Trainings of before kept no patients, and all their rows count.
    """
    digest = lineage_of(settings, version).reference
    if not digest:
        return _of_the_run(settings, version)
    kept = load_reference(open_state(settings.state_uri), digest)
    rows = np.unique(kept.groups, return_index=True)[1]
    return Reference(features=kept.features[rows], scores=kept.scores[rows], aspects=kept.aspects[rows])


def _of_the_run(settings: Settings, version: ModelVersion) -> Reference:
    """What trainings kept with their run before versions had a reference in the state."""
    with tempfile.TemporaryDirectory() as scratch:
        client(settings)
        try:
            file = mlflow.artifacts.download_artifacts(
                run_id=version.run_id, artifact_path=_OLD_PATH, dst_path=scratch, tracking_uri=settings.tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise NoReferenceError(
                f"{version} has no tag that names what it was judged by, and its run did not keep {_OLD_PATH}; "
                "train a new version."
            ) from error
        table = pq.read_table(file)
    scores = table.column("probability").to_numpy()
    return Reference(features=matrix(table), scores=scores, aspects=aspects(table))


def _path(state: State, digest: str) -> str:
    return state.path("references", f"{digest}.parquet")
