"""Versions of the registered model: write one, find one, fetch one that is verified."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow.artifacts
import mlflow.pyfunc
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion as RegistryEntry
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from registry.errors import ArtefactError, NoSuchVersionError
from registry.model.bundle import Bundle, digest_of, read_bundle
from registry.model.signing import SIGNATURE_TAG, check_signature, sign
from registry.model.store import connected
from registry.settings import ROOT, Settings

ALIAS = "production"
DIGEST_TAG = "digest"
SPEC_TAG = "spec_fingerprint"
EXPERIMENT_TAG = "experiment_id"
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One version as the registry describes it; `digest` is what its files must have."""

    name: str
    version: int
    run_id: str
    source: str
    digest: str
    spec_fingerprint: str
    created: datetime
    experiment_id: str = ""  # empty for a version of before it was kept
    signature: str = ""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def client(settings: Settings) -> MlflowClient:
    """A client of the tracking server and registry that the settings name."""
    return connected(settings.tracking_uri, variable=settings.tracking_variable)


def aliased(settings: Settings) -> ModelVersion | None:
    """The version that the alias `production` names, or None; raises MlflowException if the registry is unreachable."""
    try:
        entry = client(settings).get_model_version_by_alias(settings.model_name, ALIAS)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise
    return _describe(entry)


def version_of(settings: Settings, version: int) -> ModelVersion:
    """One version by its number; raises NoSuchVersionError if it does not exist."""
    try:
        return _describe(client(settings).get_model_version(settings.model_name, str(version)))
    except MlflowException as error:
        if error.error_code in _ABSENT:
            raise NoSuchVersionError(
                f"The registry at {settings.tracking_uri} has no version {version} of {settings.model_name}; "
                "choose one that MLflow's page of the model lists."
            ) from error
        raise


def version_of_run(settings: Settings, run_id: str) -> ModelVersion | None:
    """The version that a training run registered, None if it has not yet."""
    found = client(settings).search_model_versions(f"name='{settings.model_name}' and run_id='{run_id}'")
    return _describe(min(found, key=lambda entry: int(entry.version))) if found else None


def register(
    settings: Settings,
    *,
    run_id: str,
    bundle_folder: Path,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Store the model of a run and make it a version, once: a run that has a version already gets that one.

    `tags` say where it came from, `description` how good it is.

    The files are complete in the artefact store before the version is created, and the version is created with all its
    tags in one transaction. Whatever moment a job dies at, no version lacks its files, and running it again adds none.
    """
    existing = version_of_run(settings, run_id)
    if existing:
        return existing
    mlflow_client = client(settings)
    run = mlflow_client.get_run(run_id)
    digest = digest_of(bundle_folder)
    card_spec = read_bundle(bundle_folder, digest=digest).spec
    own = {DIGEST_TAG: digest, SPEC_TAG: card_spec.fingerprint, EXPERIMENT_TAG: run.info.experiment_id}
    signature = sign(settings, name=settings.model_name, run_id=run_id, digest=digest)
    tags = {**(tags or {}), **own, **({SIGNATURE_TAG: signature} if signature else {})}
    logged = mlflow_client.create_logged_model(
        run.info.experiment_id, name=settings.model_name, source_run_id=run_id, tags=tags, model_type="pneumonia"
    )
    with tempfile.TemporaryDirectory() as scratch:
        # MLflow keeps an artefact under the name of its folder, and `fetch` looks for `bundle`.
        bundle = shutil.copytree(bundle_folder, Path(scratch) / "bundle")
        folder = Path(scratch) / "model"
        _write_mlflow_model(folder, bundle)
        mlflow_client.log_model_artifacts(logged.model_id, str(folder))
    mlflow_client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    try:
        mlflow_client.create_registered_model(settings.model_name, description="Pneumonia on chest X-rays of children")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    entry = mlflow_client.create_model_version(
        settings.model_name,
        source=logged.artifact_location,
        run_id=run_id,
        tags=tags,
        description=description,
        model_id=logged.model_id,
    )
    return _describe(entry)


def tags_of(settings: Settings, version: ModelVersion) -> dict[str, str]:
    """All tags of a version."""
    return dict(client(settings).get_model_version(version.name, str(version.version)).tags)


def set_tags(settings: Settings, version: ModelVersion, tags: dict[str, str]) -> None:
    """Put tags on a version."""
    for name, value in tags.items():
        client(settings).set_model_version_tag(version.name, str(version.version), name, value)


def fetch(settings: Settings, version: ModelVersion, folder: Path) -> Bundle:
    """Download a version's bundle into a folder and read it, verified against the digest of the version's tags.

    Raises
    ------
    ArtefactError
        Naming the version and what is wrong with its files.
    MlflowException, OSError
        If the store cannot be reached.
    """
    if not version.digest:
        raise ArtefactError(
            f"{version} carries no digest, so it was not registered by this project; train one with ray_jobs.train."
        )
    try:
        check(settings, version)
        mlflow_client = client(settings)
        with tempfile.TemporaryDirectory(dir=_made(folder.parent)) as scratch:
            got = _download(mlflow_client, version, Path(scratch))
            shutil.rmtree(folder, ignore_errors=True)
            got.rename(folder)
        return read_bundle(folder, digest=version.digest)
    except ArtefactError as error:
        raise ArtefactError(f"{version} is refused: {error}") from error


def check(settings: Settings, version: ModelVersion) -> None:
    """Raise ArtefactError for a version without the signature that TRUSTED_KEY asks for."""
    check_signature(
        settings, name=version.name, run_id=version.run_id, digest=version.digest, signature=version.signature
    )


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a version's card says, whatever feature spec this code has today: names of its features, and threshold."""

    feature_names: tuple[str, ...]
    threshold: float


def card_of(settings: Settings, version: ModelVersion) -> Card:
    """The card of a version; raises ArtefactError if it has none, or one that says neither."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            card = mlflow.artifacts.download_artifacts(
                f"{version.source.rstrip('/')}/artifacts/bundle/card.json",
                dst_path=scratch,
                tracking_uri=client(settings).tracking_uri,
            )
            document = json.loads(Path(card).read_text())
            names = tuple(str(name) for name in document["spec"]["names"])
            return Card(feature_names=names, threshold=float(document["threshold"]))
        except (MlflowException, OSError, ValueError, KeyError, TypeError) as error:
            raise ArtefactError(f"{version} has no card that can be read: {error!r}; train a new version.") from error


def _download(mlflow_client: MlflowClient, version: ModelVersion, folder: Path) -> Path:
    uri = f"{version.source.rstrip('/')}/artifacts/bundle"
    got = mlflow.artifacts.download_artifacts(uri, dst_path=str(folder), tracking_uri=mlflow_client.tracking_uri)
    path = Path(got)
    if not path.is_dir():
        raise ArtefactError("it has no folder artifacts/bundle, so it was not registered by this project")
    return path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_mlflow_model(folder: Path, bundle_folder: Path) -> None:
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema([ColSpec(DataType.double, "probability"), ColSpec(DataType.string, "label")]),
    )
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(ROOT / "registry" / "model" / "pyfunc.py"),
        artifacts={"bundle": str(bundle_folder)},
        code_paths=[str(ROOT / "features"), str(ROOT / "registry")],
        signature=signature,
        input_example=pd.DataFrame({"image": [(bundle_folder / "golden" / "00").read_bytes()]}),
        pip_requirements=_requirements(),
    )


def _requirements() -> list[str]:
    """The packages that a model needs to answer, at the versions that it was trained with."""
    names = (
        "mlflow",
        "numpy",
        "opencv-python-headless",
        "pandas",
        "pydantic-settings",
        "pydicom",
        "scikit-learn",
        "skops",
        "threadpoolctl",
    )
    return [f"{name}=={installed(name)}" for name in names]


def _describe(entry: RegistryEntry) -> ModelVersion:
    tags: dict[str, Any] = entry.tags
    return ModelVersion(
        name=entry.name,
        version=int(entry.version),
        run_id=entry.run_id or "",
        source=entry.source or "",
        digest=tags.get(DIGEST_TAG, ""),
        spec_fingerprint=tags.get(SPEC_TAG, ""),
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        experiment_id=tags.get(EXPERIMENT_TAG, ""),
        signature=tags.get(SIGNATURE_TAG, ""),
    )
