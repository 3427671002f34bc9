"""Fit a model's out-of-distribution detector on the training side, and measure it on patients that no fitting saw."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from ray_jobs.learning.evaluate import Estimate, share
from ray_jobs.learning.table import Rows
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import smallest_fold
from registry.model.out_of_distribution import OutOfDistributionDetector
from registry.process.threads import one_thread

COMPONENTS = 64
DOUBTFUL, REFUSED = 0.975, 0.995  # of unseen training patients, those who lie nearer
# However few the patients are, a tail as of a normal distribution is allowed for: their quantile is that of a handful.
_DEVIATIONS = 3.5
_LEAST_SCALE = 1e-6


@one_thread()
def fit_detector(data: TrainingSet) -> OutOfDistributionDetector:
    """The detector of a training set.

    Components are those of pictures and their views for training, so that another framing or exposure is not strange.
    The two limits come from distances of pictures as they are, each measured by a fit to the folds without its
    patient: a picture's distance from a fit that saw it says nothing of new ones.
    """
    count = max(1, min(COMPONENTS, smallest_fold(data.folds) // 4, data.features.shape[1] // 4))
    distances = np.empty(data.images)
    images, labels = data.features[: data.images], data.labels[: data.images]
    mean = images[labels == 0].mean(axis=0, dtype=np.float64)
    for train, valid in data.folds:
        pictures = valid[valid < data.images]
        detector = _fit(data.features[train], count, normal=mean, limits=(0.0, 0.0))
        distances[pictures] = detector.distance(data.features[pictures])
    return _fit(data.features[: data.fitted], count, normal=mean, limits=limits_of(distances))


def limits_of(distances: np.ndarray) -> tuple[float, float]:
    """The distances above which a picture is doubtful, and above which it is refused, from those of unseen ones."""
    logarithms = np.log(np.maximum(distances, 1e-12))
    tail = logarithms.mean() + _DEVIATIONS * logarithms.std()
    doubtful, refused = np.quantile(logarithms, [DOUBTFUL, REFUSED])
    return float(np.exp(doubtful)), float(np.exp(max(refused, tail)))


def _fit(
    features: np.ndarray, count: int, *, normal: np.ndarray, limits: tuple[float, float]
) -> OutOfDistributionDetector:
    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = features.std(axis=0, dtype=np.float64).astype(np.float32) + np.float32(_LEAST_SCALE)
    pca = PCA(count, svd_solver="randomized", random_state=0).fit((features - mean) / scale)
    doubtful, refused = limits
    return OutOfDistributionDetector(
        mean=mean, scale=scale, components=pca.components_, normal=normal, doubtful=doubtful, refused=refused
    )


@dataclass(frozen=True, kw_only=True)
class DetectionRates:
    """Of some real chest X-rays, the share that is refused and the share that is answered with a doubt."""

    images: int
    patients: int
    refused: Estimate
    doubtful: Estimate

    def metrics(self, prefix: str) -> dict[str, float]:
        """The shares and the upper ends of their intervals, flat, as MLflow keeps them."""
        return {
            f"{prefix}_refused": self.refused.value,
            f"{prefix}_refused_high": self.refused.high,
            f"{prefix}_doubtful": self.doubtful.value,
            f"{prefix}_doubtful_high": self.doubtful.high,
        }


def detection_rates(detector: OutOfDistributionDetector, table: Rows) -> DetectionRates:
    """Rates on the rows of a table, all of them chest X-rays, whatever their label; colour is not looked at."""
    distances = table.each(lambda piece: detector.distance(piece.features))
    refused = distances > detector.refused
    doubtful = (distances > detector.doubtful) & ~refused
    patients = len(np.unique(table.patients))
    return DetectionRates(
        images=len(table),
        patients=patients,
        refused=share(refused, patients),
        doubtful=share(doubtful, patients),
    )
