"""Whether pictures of today look like those that a model was judged by: pure functions over features and scores."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

BINS = 10
SIGNIFICANT = 0.01
LARGE = 0.25  # a population stability index from which a shift is commonly called large
SHARE = 0.05  # of the features; single ones shift for reasons that no answer depends on
LEAST = 50  # pictures; with fewer the index says nothing


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far columns have moved: arrays of shape (D,).

    `psi` is the population stability index without what chance adds to it, `p` the Kolmogorov-Smirnov test's p-values,
    adjusted over all columns so that at most `SIGNIFICANT` of those called shifted are so by chance.
    """

    psi: np.ndarray
    p: np.ndarray

    @property
    def shifted(self) -> np.ndarray:
        """Bool of shape (D,): which columns moved both beyond chance and far."""
        return (self.p < SIGNIFICANT) & (self.psi >= LARGE)


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """What is said of a period: the shift of the features and of the scores, and whether that is drift."""

    features: Shift
    scores: Shift

    @property
    def share(self) -> float:
        """The share of the features that are shifted."""
        return float(self.features.shifted.mean())

    @property
    def drift(self) -> bool:
        """Whether enough features have shifted, or the scores have."""
        return self.share >= SHARE or bool(self.scores.shifted.any())


def compare(
    reference: np.ndarray, features: np.ndarray, reference_scores: np.ndarray, scores: np.ndarray
) -> DriftResult:
    """Compare features (M, D) and (N, D), and scores (M,) and (N,), of a reference and of a period."""
    return DriftResult(features=shift(reference, features), scores=shift(reference_scores[:, None], scores[:, None]))


def shift(reference: np.ndarray, today: np.ndarray) -> Shift:
    """How far each column of `today`, (N, D), lies from that of `reference`, (M, D).

    The p-values are those of the two-sample Kolmogorov-Smirnov test, adjusted after Benjamini and Hochberg (1995),
    "Controlling the false discovery rate", JRSS B 57(1).
    """
    p = np.asarray(stats.ks_2samp(reference, today, axis=0, method="asymp").pvalue)
    return Shift(
        psi=stability_index(reference, today), p=np.asarray(stats.false_discovery_control(np.nan_to_num(p, nan=1.0)))
    )


def stability_index(reference: np.ndarray, today: np.ndarray) -> np.ndarray:
    """The population stability index of each column over ten bins of the reference, less its mean under no shift.

    Unshifted samples of M and N give about (bins - 1)(1/M + 1/N) by chance alone (Yurdakul, 2018, "Statistical
    properties of population stability index", Western Michigan University), which is taken off; never below 0.
    """
    by_chance = (BINS - 1) * (1 / len(reference) + 1 / len(today))
    edges = np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)
    expected, found = _shares(reference, edges), _shares(today, edges)
    index = ((found - expected) * np.log(found / expected)).sum(axis=0)
    return np.maximum(index - by_chance, 0.0)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of each column's values in each bin, (BINS, D); half a picture is added to each, so that none is empty."""
    places = (values[None] > edges[:, None]).sum(axis=0)
    counts = np.stack([(places == place).sum(axis=0) for place in range(BINS)]) + 0.5
    return counts / counts.sum(axis=0)


def agreement(confirmed: int, words: int) -> tuple[float, float, float]:
    """The share of answers that people confirmed, and its 95 % interval (Wilson, 1927, JASA 22)."""
    interval = stats.binomtest(confirmed, words).proportion_ci(method="wilson")
    return confirmed / words, float(interval.low), float(interval.high)
