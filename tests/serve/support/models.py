"""Models and registries for the tests of serving."""

import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.extract import extract
from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs.dataset.synthetic import chest_picture
from registry.model.bundle import digest_of, read_bundle, write_bundle
from registry.model.out_of_distribution import OutOfDistributionDetector
from registry.model.versions import DIGEST_TAG, SPEC_TAG, ModelVersion, client, register, version_of
from registry.production.promotion import promote
from registry.settings import Settings
from serve.production.model import Served
from tests.detectors import detector_of

JPEG = {"Content-Type": "image/jpeg"}  # what the pictures of `GeneratedXrays` are sent as
HELD_OUT = {
    "auc": {"value": 0.973, "low": 0.961, "high": 0.984},
    "accuracy": {"value": 0.931, "low": 0.91, "high": 0.95},
    "sensitivity": {"value": 0.952, "low": 0.93, "high": 0.97},
    "specificity": {"value": 0.884, "low": 0.84, "high": 0.92},
}
HELD_OUT |= {
    "calibration_error": {"value": 0.021, "low": 0.014, "high": 0.035},
    "brier": {"value": 0.052, "low": 0.041, "high": 0.063},
}
EVALUATION = {
    "held_out": HELD_OUT,
    "model": "logistic regression",
    "scope": {"held_out": {"refused": {"value": 0.004, "low": 0.0, "high": 0.01}}},
    "data": {
        "pictures": {"train": {"NORMAL": 600, "PNEUMONIA": 900}, "held-out": {"NORMAL": 150, "PNEUMONIA": 230}},
        "patients": {"train": {"NORMAL": 300, "PNEUMONIA": 500}, "held-out": {"NORMAL": 80, "PNEUMONIA": 130}},
    },
}


@dataclass(frozen=True)
class GeneratedXrays:
    """Generated X-rays with their features and labels (1 is pneumonia)."""

    images: list[bytes]
    features: np.ndarray
    labels: np.ndarray
    detector: OutOfDistributionDetector
    spec: FeatureSpec = DEFAULT_SPEC

    @classmethod
    def generated(cls, *, patients: int) -> "GeneratedXrays":
        images = [
            chest_picture(patient=patient, picture=0, label="PNEUMONIA" if patient % 2 else "NORMAL")
            for patient in range(patients)
        ]
        features, labels = np.stack([extract(image) for image in images]), np.arange(patients) % 2
        return cls(images, features, labels, detector_of(features, labels))

    def write(self, folder: Path, *, strength: float = 1.0, threshold: float = 0.5) -> str:
        """Fit a model (`strength` is the inverse of its regularisation), write its bundle and return the digest."""
        estimator = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
        estimator.fit(self.features, self.labels)
        return write_bundle(
            folder,
            estimator=estimator,
            spec=self.spec,
            threshold=threshold,
            detector=self.detector,
            evaluation=EVALUATION,
            golden_images=self.images[:3],
        )


def served(training_set: GeneratedXrays, folder: Path, *, version: int, strength: float = 0.01) -> Served:
    """A model as requests see it, without a registry."""
    digest = training_set.write(folder, strength=strength)
    described = ModelVersion(
        name="pneumonia",
        version=version,
        run_id=f"run-{version}",
        source="nowhere",
        digest=digest,
        spec_fingerprint=DEFAULT_SPEC.fingerprint,
        created=datetime.now(UTC),
    )
    bundle = read_bundle(folder, digest=digest)
    return Served(version=described, bundle=bundle, since=datetime.now(UTC), source="registry")


@dataclass
class Registry:
    """A real MLflow registry on SQLite."""

    settings: Settings
    folder: Path
    training_set: GeneratedXrays
    experiment: str
    versions: list[ModelVersion] = field(default_factory=list)

    @classmethod
    def empty(cls, folder: Path, training_set: GeneratedXrays) -> "Registry":
        database, state = f"sqlite:///{folder}/mlflow.db", str(folder / "state")
        # One replica, unless a test asks for more: it starts sooner, and what it does is easier to follow.
        settings = Settings(mlflow_tracking_uri=database, state_uri=state, serve_replicas=1)
        mlflow.set_tracking_uri(settings.tracking_uri)
        experiment = client(settings).create_experiment("serve", artifact_location=(folder / "artifacts").as_uri())
        return cls(settings, folder, training_set, experiment)

    @classmethod
    def of_three(cls, folder: Path, training_set: GeneratedXrays) -> "Registry":
        """A registry with three sound versions, none of which is in Production."""
        registry = cls.empty(folder, training_set)
        for strength in (1.0, 0.01, 0.0001):
            registry.add(strength)
        return registry

    @classmethod
    def behind(cls, settings: Settings, folder: Path, training_set: GeneratedXrays) -> "Registry":
        """A registry whose artefacts go through its server; versions are written below the folder first."""
        return cls(settings, folder, training_set, client(settings).create_experiment("serve"))

    def copied(self, folder: Path, **settings: str) -> "Registry":
        """The same versions behind a copy of the database and of the state, with settings changed as said."""
        shutil.copy(self.settings.mlflow_tracking_uri.removeprefix("sqlite:///"), folder / "mlflow.db")
        if Path(self.settings.state_uri).is_dir():
            shutil.copytree(self.settings.state_uri, folder / "state")
        own = {"mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db", "state_uri": str(folder / "state")}
        return replace(self, settings=self.settings.model_copy(update=own | settings))

    def add(self, strength: float) -> ModelVersion:
        """Fit, log and register one more version."""
        run = client(self.settings).create_run(self.experiment)
        bundle = self.folder / run.info.run_id / "bundle"
        self.training_set.write(bundle, strength=strength)
        version = register(self.settings, run_id=run.info.run_id, bundle_folder=bundle)
        self.versions.append(version)
        return version

    def add_unchecked(self, name: str, estimator: bytes) -> ModelVersion:
        """Register a version whose files and digest fit each other, but whose estimator nobody has tried."""
        sound = self.versions[0]
        folder = self.folder / name / "artifacts" / "bundle"
        shutil.copytree(self.files_of(sound), folder)
        (folder / "estimator.skops").write_bytes(estimator)
        entry = client(self.settings).create_model_version(
            sound.name,
            source=(self.folder / name).as_uri(),
            run_id=sound.run_id,
            tags={DIGEST_TAG: digest_of(folder), SPEC_TAG: sound.spec_fingerprint},
        )
        return version_of(self.settings, int(entry.version))

    def promote(self, version: ModelVersion) -> None:
        """Make it Production, with none of the gate's questions."""
        promote(self.settings, version, why="a test")

    def files_of(self, version: ModelVersion) -> Path:
        """The bundle of a version inside the artefact store."""
        return Path(version.source.removeprefix("file://")) / "artifacts" / "bundle"
