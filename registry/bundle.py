"""What a model is on disk: estimator, feature spec, threshold, evaluation and golden answers, under one digest."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.base import BaseEstimator

from features.errors import ImageError
from features.extract import extract
from features.spec import FeatureSpec, SpecMismatch
from registry.errors import ArtefactError

FORMAT = 1
GOLDEN_TOLERANCE = 1e-4
POSITIVE, NEGATIVE = "PNEUMONIA", "NORMAL"

# What our own pipelines consist of beyond skops' defaults. Fixed here and never read from a model: a list that came
# with the file would trust whatever the file's author wanted to run.
TRUSTED_TYPES = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)


@dataclass(frozen=True, kw_only=True)
class Golden:
    """A generated picture and the probability that the model gave it when it was written."""

    image: bytes
    probability: float


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model that is ready to answer.

    Attributes
    ----------
    estimator
        A fitted scikit-learn classifier over feature vectors of `spec`, classes 0 (normal) and 1 (pneumonia).
    threshold
        The probability from which the label is PNEUMONIA.
    evaluation
        Numbers on held-out patients, as written by the training job.
    """

    estimator: BaseEstimator
    spec: FeatureSpec
    threshold: float
    evaluation: dict[str, Any]
    golden: tuple[Golden, ...]

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Probability of pneumonia, float64 of shape (N,), for features of shape (N, D)."""
        if features.ndim != 2 or features.shape[1] != len(self.spec.names):
            raise SpecMismatch(
                f"Features of shape {features.shape} do not fit a model of {len(self.spec.names)} features; "
                f"extract them with the model's own spec {self.spec.fingerprint[:12]}."
            )
        # In float32 an answer would depend, in its seventh digit, on how many pictures are asked about at once.
        return np.asarray(self.estimator.predict_proba(features.astype(np.float64))[:, 1], dtype=np.float64)

    def predict(self, images: Sequence[bytes]) -> np.ndarray:
        """Probability of pneumonia, float64 of shape (N,), for N encoded images; raises features.errors.ImageError."""
        return self.probability(np.stack([extract(image, self.spec) for image in images]))

    def label(self, probability: float) -> str:
        """The class that the threshold gives."""
        return POSITIVE if probability >= self.threshold else NEGATIVE


def write_bundle(
    folder: Path,
    *,
    estimator: BaseEstimator,
    spec: FeatureSpec,
    threshold: float,
    evaluation: dict[str, Any],
    golden_images: Sequence[bytes],
) -> str:
    """Write a model into an empty folder and return its digest, having read it back as serving will.

    Raises
    ------
    ArtefactError
        If what was written would be refused when read, for example an estimator of a type that is not trusted.
    """
    bundle = Bundle(estimator=estimator, spec=spec, threshold=threshold, evaluation=evaluation, golden=())
    expected = bundle.predict(golden_images)
    (folder / "golden").mkdir(parents=True)
    for index, image in enumerate(golden_images):
        (folder / "golden" / f"{index:02d}").write_bytes(image)
    skops.io.dump(estimator, folder / "estimator.skops")
    card = {
        "format": FORMAT,
        "spec": json.loads(spec.to_json()),
        "spec_fingerprint": spec.fingerprint,
        "threshold": threshold,
        "evaluation": evaluation,
        "golden": [float(probability) for probability in expected],
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1, sort_keys=True, allow_nan=False))
    digest = digest_of(folder)
    read_bundle(folder, digest=digest)
    return digest


def digest_of(folder: Path) -> str:
    """SHA-256, in hex, over the names and contents of every file below a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def read_bundle(folder: Path, *, digest: str) -> Bundle:
    """Read a model, trusting nothing in the folder until its digest, types, spec and golden answers have been checked.

    Raises
    ------
    ArtefactError
        Naming what is wrong: a digest that differs, a file that is missing, a type that is not ours, a spec whose
        fingerprint differs, a golden answer that this machine does not reproduce.
    """
    actual = digest_of(folder) if folder.is_dir() else "nothing"
    if actual != digest:
        raise ArtefactError(
            f"The files have digest {actual}, the version was registered with {digest}; register it anew."
        )
    try:
        card = json.loads((folder / "card.json").read_text())
        if card["format"] != FORMAT:
            raise ArtefactError(
                f"card.json has format {card['format']}; this code reads {FORMAT}. Train a new version."
            )
        spec = FeatureSpec.from_json(json.dumps(card["spec"]))
        golden = tuple(
            Golden(image=(folder / "golden" / f"{index:02d}").read_bytes(), probability=float(probability))
            for index, probability in enumerate(card["golden"])
        )
        threshold, evaluation, fingerprint = (
            float(card["threshold"]),
            dict(card["evaluation"]),
            card["spec_fingerprint"],
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"card.json and golden/ do not describe a model of this project: {error!r}") from error
    if spec.fingerprint != fingerprint:
        raise ArtefactError(
            f"card.json gives spec {fingerprint}, its families have {spec.fingerprint}; train a new version."
        )
    estimator = _read_estimator(folder / "estimator.skops")
    bundle = Bundle(estimator=estimator, spec=spec, threshold=threshold, evaluation=evaluation, golden=golden)
    _check_golden(bundle)
    return bundle


def _read_estimator(path: Path) -> BaseEstimator:
    """Load a skops file that holds only the types that our pipelines consist of."""
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES))
        if unknown:
            raise ArtefactError(f"{path.name} holds types that are not trusted: {', '.join(unknown)}")
        estimator = skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except ArtefactError:
        raise
    # A foreign file can fail anywhere inside the reader: zip, JSON, a type that is gone. Each means the same to us.
    except Exception as error:
        raise ArtefactError(f"{path.name} is not a skops file that can be read: {error!r}") from error
    if not hasattr(estimator, "predict_proba"):
        raise ArtefactError(f"{path.name} holds a {type(estimator).__name__}, not a classifier with probabilities.")
    return estimator


def _check_golden(bundle: Bundle) -> None:
    """Refuse a model that does not answer its golden images as it did where it was trained."""
    if not bundle.golden:
        raise ArtefactError(
            "The model has no golden images, so nothing shows that it answers here as where it was trained."
        )
    try:
        answers = bundle.predict([golden.image for golden in bundle.golden])
    except (ImageError, SpecMismatch, ValueError) as error:
        raise ArtefactError(f"The model cannot answer its golden images: {error}") from error
    expected = np.array([golden.probability for golden in bundle.golden])
    worst = float(np.max(np.abs(answers - expected)))
    if not worst <= GOLDEN_TOLERANCE:
        raise ArtefactError(
            f"Golden answers differ by {worst:.2g}, at most {GOLDEN_TOLERANCE} is allowed; "
            "install the versions of the lock, or train a new version with those that are installed."
        )
