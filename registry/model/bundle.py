"""What a model is on disk: estimator, spec, threshold, detector, evaluation and golden images, under one digest."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from features.extract import describe_normalised, extract
from features.look import look
from features.reading.colour import colourfulness
from features.reading.decode import decode
from features.reading.errors import NEVER_XRAYS, ImageError, NotAChestXray
from features.spec import FeatureSpec, SpecMismatch
from registry.errors import ArtefactError
from registry.model.answer import FROM_GENERATED, ExaminedImage, ScoredImage
from registry.model.estimator import probability, read_estimator, write_estimator
from registry.model.model_card import model_card
from registry.model.out_of_distribution import OutOfDistributionDetector, read_detector, write_detector
from registry.process.traces import span

FORMAT = 2  # 1 had no out-of-distribution detector
# Kernels of BLAS differ by 1e-6 in a distance and less in a probability (ADR 11). What differs more is another build of
# OpenCV or scikit-learn, which golden answers are there to notice.
GOLDEN_TOLERANCE = 1e-4
POSITIVE, NEGATIVE = "PNEUMONIA", "NORMAL"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """A generated picture, and the probability and distance that the model gave it when it was written."""

    image: bytes
    probability: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model that is ready to answer.

    Attributes
    ----------
    estimator
        A fitted scikit-learn classifier over feature vectors of `spec`, classes 0 (normal) and 1 (pneumonia).
    threshold
        The probability from which the label is PNEUMONIA.
    detector
        Tells whether a picture is like the X-rays of the training side.
    evaluation
        Numbers on held-out patients, as written by the training job.
    unsure
        The probabilities from and below which an answer is near the threshold; None for versions that do not say.
    """

    estimator: BaseEstimator
    spec: FeatureSpec
    threshold: float
    detector: OutOfDistributionDetector
    evaluation: dict[str, Any]
    golden: tuple[Golden, ...]
    unsure: tuple[float, float] | None = None

    @property
    def generated(self) -> bool:
        """Whether the model learnt from generated pictures; versions of before this was kept count as real ones."""
        return bool(self.evaluation.get("data", {}).get("kind") == "generated")

    @property
    def card(self) -> str:
        """The model card, as Markdown."""
        return model_card(self.evaluation, threshold=self.threshold, unsure=self.unsure, features=len(self.spec.names))

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Probability of pneumonia, float64 of shape (N,), for features of shape (N, D)."""
        if features.ndim != 2 or features.shape[1] != len(self.spec.names):
            raise SpecMismatch(
                f"Features of shape {features.shape} do not fit a model of {len(self.spec.names)} features; "
                f"extract them with the model's own spec {self.spec.fingerprint[:12]}."
            )
        return probability(self.estimator, features)

    def examine(self, image: bytes) -> ExaminedImage:
        """Decode a picture, extract its features, and check that it is like those of the training side.

        A model that learnt from generated pictures says so, whatever it says: it refuses real X-rays as well.

        Raises
        ------
        features.reading.errors.ImageError
            If it cannot be decoded, or (`NotAChestXray`) is nothing that the model was trained on.
        """
        with span("decode"):
            pixels = decode(image)
        with span("find the lungs"):
            looked = look(pixels, self.spec)
        with span("describe"):
            features = describe_normalised(looked.pictures, self.spec)
        try:
            with span("compare with the training side"):
                doubts = self.detector.judge(pixels, looked, features, colourfulness(image), self.spec)
        except NotAChestXray as refusal:
            if not self.generated or refusal.reason is None or refusal.reason in NEVER_XRAYS:
                raise
            detail = (
                f"{refusal}. The model learnt from generated pictures, so this may well be a chest X-ray; it takes a "
                "training on real ones to know: make run DATA_URI=path/to/chest_xray"
            )
            raise NotAChestXray(detail, refusal.reason) from None
        doubts += (FROM_GENERATED,) if self.generated else ()
        return ExaminedImage(pixels=pixels, looked=looked, features=features, doubts=doubts)

    def score(self, image: bytes) -> ScoredImage:
        """The answer for a picture that a person or program asks about; raises as `examine` does."""
        examined = self.examine(image)
        with span("score"):
            probability = float(self.probability(examined.features[None])[0])
        unsure = self.unsure is not None and self.unsure[0] <= probability < self.unsure[1]
        return ScoredImage(probability=probability, label=self.label(probability), examined=examined, unsure=unsure)

    def predict_unchecked(self, images: Sequence[bytes]) -> np.ndarray:
        """Probability, float64 (N,), of N encoded images, whatever they show: for tests of a model, not for people."""
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
    detector: OutOfDistributionDetector,
    evaluation: dict[str, Any],
    golden_images: Sequence[bytes],
    unsure: tuple[float, float] | None = None,
) -> str:
    """Write a model into an empty folder and return its digest, having read it back as serving will.

    Raises
    ------
    ArtefactError
        If what was written would be refused when read, for example an estimator of a type that is not trusted.
    """
    features = np.stack([extract(image, spec) for image in golden_images])
    bundle = Bundle(
        estimator=estimator,
        spec=spec,
        threshold=threshold,
        detector=detector,
        evaluation=evaluation,
        golden=(),
        unsure=unsure,
    )
    expected = zip(bundle.probability(features), detector.distance(features), strict=True)
    (folder / "golden").mkdir(parents=True)
    for index, image in enumerate(golden_images):
        (folder / "golden" / f"{index:02d}").write_bytes(image)
    write_estimator(estimator, folder / "estimator.skops")
    write_detector(detector, folder / "scope.npz")
    card = {
        "format": FORMAT,
        "spec": json.loads(spec.to_json()),
        "spec_fingerprint": spec.fingerprint,
        "threshold": threshold,
        "unsure": unsure,
        "evaluation": evaluation,
        "golden": [{"probability": float(probability), "distance": float(far)} for probability, far in expected],
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1, sort_keys=True, allow_nan=False))
    (folder / "card.md").write_text(bundle.card, encoding="utf-8")
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
            f"The files have digest {actual}, the version was registered with {digest}; register it again."
        )
    try:
        card = json.loads((folder / "card.json").read_text())
        if card["format"] != FORMAT:
            raise ArtefactError(
                f"card.json has format {card['format']}; this code reads {FORMAT}. Train a new version."
            )
        spec = FeatureSpec.from_json(json.dumps(card["spec"]))
        golden = tuple(
            Golden(
                image=(folder / "golden" / f"{index:02d}").read_bytes(),
                probability=float(answer["probability"]),
                distance=float(answer["distance"]),
            )
            for index, answer in enumerate(card["golden"])
        )
        threshold, unsure = float(card["threshold"]), _band(card.get("unsure"))
        evaluation, fingerprint = dict(card["evaluation"]), card["spec_fingerprint"]
    except SpecMismatch as error:
        raise ArtefactError(f"It describes X-rays otherwise than this code: {error}.") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"card.json and golden/ do not describe a model of this project: {error!r}") from error
    if spec.fingerprint != fingerprint:
        raise ArtefactError(
            f"card.json gives spec {fingerprint}, its families have {spec.fingerprint}; train a new version."
        )
    estimator = read_estimator(folder / "estimator.skops")
    detector = read_detector(folder / "scope.npz", features=len(spec.names))
    bundle = Bundle(
        estimator=estimator,
        spec=spec,
        threshold=threshold,
        detector=detector,
        evaluation=evaluation,
        golden=golden,
        unsure=unsure,
    )
    _check_golden(bundle)
    return bundle


def _band(written: Any) -> tuple[float, float] | None:
    """The two ends of what is near the threshold; versions of before there was such a band have none."""
    if written is None:
        return None
    low, high = map(float, written)
    return low, high


def _check_golden(bundle: Bundle) -> None:
    """Refuse a model that does not answer its golden images as it did where it was trained."""
    if not bundle.golden:
        raise ArtefactError(
            "The model has no golden images, so nothing shows that it answers here as where it was trained."
        )
    expected = np.array([(golden.probability, golden.distance) for golden in bundle.golden])
    try:
        features = np.stack([extract(golden.image, bundle.spec) for golden in bundle.golden])
        answers = np.column_stack([bundle.probability(features), bundle.detector.distance(features)])
    except (ImageError, SpecMismatch, ValueError) as error:
        raise ArtefactError(f"The model cannot answer its golden images: {error}") from error
    worst = float(np.max(np.abs(answers - expected)))
    if not worst <= GOLDEN_TOLERANCE:
        raise ArtefactError(
            f"Golden answers differ by {worst:.2g}, at most {GOLDEN_TOLERANCE} is allowed; "
            "install the versions of the lock, or train a new version with those that are installed."
        )
