"""Where a model had better not answer: near the threshold, where another way to take the X-ray turns the answer.

To answer only what one is sure of is selective classification (El-Yaniv and Wiener, 2010, "On the foundations of
noise-free selective classification", JMLR 11): accuracy is bought with coverage, the share that is answered.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

TURNS = 0.15  # an answer is unsure where more than this share of the answers at its probability turn
_MOST_UNSURE = 0.5  # of the answers of a class; a model that would be unsure of more says nothing by being so


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The share of X-rays that are answered outside the band, and how many of these answers are right.

    `accuracy` is None where nothing is answered.
    """

    coverage: float
    accuracy: float | None

    def metrics(self, prefix: str) -> dict[str, float]:
        """Both numbers, as MLflow keeps them."""
        found = {f"{prefix}_coverage": self.coverage}
        return found if self.accuracy is None else found | {f"{prefix}_covered_accuracy": self.accuracy}


def unsure_band(plain: np.ndarray, views: np.ndarray, threshold: float) -> tuple[float, float]:
    """From which probability and up to which one an answer is unsure; both are the threshold where none is.

    `plain` (N,) are probabilities of X-rays as they are, `views` (N, J) of the same as another place might have taken
    them, by models that had not seen their patients. Each class has its own end: a shift of exposure often turns the
    answers of one class only. How many answers turn at a distance from the threshold is an isotonic regression (Barlow
    et al., 1972, "Statistical inference under order restrictions"): the farther away, the fewer. An answer at the upper
    end is sure, one at the lower end is not.

    >>> plain = np.array([0.1, 0.4, 0.6, 0.9])
    >>> unsure_band(plain, np.array([[0.2], [0.3], [0.4], [0.8]]), 0.5)
    (0.5, 0.75)
    """
    pairs = np.repeat(plain, views.shape[1])
    turned = (views.ravel() >= threshold) != (pairs >= threshold)
    ill = pairs >= threshold
    above = _reach(pairs[ill] - threshold, turned[ill])
    below = _reach(threshold - pairs[~ill], turned[~ill])
    return threshold - below, threshold + above


def _reach(distance: np.ndarray, turned: np.ndarray) -> float:
    """The distance from the threshold beyond which at most TURNS of the pairs (K,) turn; 0 where none do more."""
    if not turned.any():
        return 0.0
    rate = IsotonicRegression(increasing=False).fit_transform(distance, turned)
    order = np.argsort(distance, kind="stable")
    unsure = min(int(np.sum(rate > TURNS)), int(np.ceil(len(distance) * _MOST_UNSURE)))
    if unsure in (0, len(distance)):
        return 0.0
    return float(distance[order][unsure - 1 : unsure + 1].mean())


def covered(labels: np.ndarray, probabilities: np.ndarray, threshold: float, band: tuple[float, float]) -> Coverage:
    """How much is answered outside the band, and how well; labels of 0 and 1 and probabilities (N,)."""
    answered = (probabilities < band[0]) | (probabilities >= band[1])
    if not answered.any():
        return Coverage(coverage=0.0, accuracy=None)
    right = (probabilities >= threshold) == (labels == 1)
    return Coverage(coverage=float(answered.mean()), accuracy=float(right[answered].mean()))


def coverage_curve(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and accuracy, both (N,), where the k answers farthest from the threshold are given, for each k.

    Distances are shares of the way from the threshold to 0 or to 1, so that both classes are asked alike.

    >>> coverage, accuracy = coverage_curve(np.array([0, 1, 0]), np.array([0.1, 0.9, 0.6]), 0.5)
    >>> coverage.round(2).tolist(), accuracy.round(2).tolist()
    ([0.33, 0.67, 1.0], [1.0, 1.0, 0.67])
    """
    ill = probabilities >= threshold
    way = np.where(ill, max(1 - threshold, 1e-9), max(threshold, 1e-9))
    order = np.argsort(-np.abs(probabilities - threshold) / way, kind="stable")
    right = (ill == (labels == 1))[order]
    count = np.arange(1, len(labels) + 1)
    return count / len(labels), np.cumsum(right) / count
