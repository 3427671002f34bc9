"""Whether pictures of today look like those that a model was judged by: pure functions over features and scores."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from registry.process.threads import one_thread

BINS = 10
SIGNIFICANT = 0.01
LARGE = 0.25  # a population stability index from which a shift is commonly called large
SHARE = 0.05  # of the features; single ones shift for reasons that no answer depends on
LEAST = 50  # pictures; with fewer the index says nothing
# What a classifier must reach to be called able to tell, and how sure that must be: among thousands of pictures it
# finds differences that matter to nobody.
TELLING, SURE = 0.65, 0.001
TYPICAL = 4
_FOLDS = 5


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
class Separation:
    """How well a classifier tells pictures of today from those of a reference, by the AUC on ones that it never saw.

    `p` is how likely such an AUC is where there is nothing to tell. `typical` are the rows of today's that it tells
    best.
    """

    auc: float
    p: float
    typical: tuple[int, ...]

    @property
    def shifted(self) -> bool:
        """Whether it can tell them, surely and well."""
        return self.p < SURE and self.auc >= TELLING


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """How many times wider to their height the lungs are within predicted classes, with index and p-value."""

    factor: float
    psi: float
    p: float

    @property
    def shifted(self) -> bool:
        """Whether that is beyond chance and far, by the limits of a feature."""
        return self.p < SIGNIFICANT and self.psi >= LARGE


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """What is said of a period: the shift of features, over all and within predicted classes, and of scores.

    Over all, a change hides behind another share of ill children, and such a share looks like a change. `stretch` is
    of the lungs' width to their height, None where that is not known.
    """

    features: Shift
    within: Shift
    scores: Shift
    separation: Separation
    stretch: Stretch | None = None

    @property
    def share(self) -> float:
        """The share of the features that are shifted."""
        return float(self.features.shifted.mean())

    @property
    def share_within(self) -> float:
        """The share of the features that are shifted within predicted classes."""
        return float(self.within.shifted.mean())

    @property
    def drift(self) -> bool:
        """Whether enough features have shifted, or the scores or the lungs have, or a classifier can tell the pictures.

        No feature sees whether a picture is stretched.
        """
        features = max(self.share, self.share_within) >= SHARE
        stretched = self.stretch is not None and self.stretch.shifted
        return features or bool(self.scores.shifted.any()) or self.separation.shifted or stretched


def compare(
    reference: np.ndarray,
    features: np.ndarray,
    reference_scores: np.ndarray,
    scores: np.ndarray,
    *,
    threshold: float,
    aspects: tuple[np.ndarray, np.ndarray] | None = None,
) -> DriftResult:
    """Compare features (M, D) and (N, D), and scores (M,) and (N,), of a reference and of a period.

    The predicted class is that of a score at or above the threshold. `aspects`, (M,) and (N,), are the widths of the
    lungs to their heights, NaN where nobody looked.
    """
    ill = reference_scores >= threshold
    means = {kind: reference[ill == kind].mean(axis=0) for kind in (False, True) if (ill == kind).any()}
    before = _within(reference, ill, means)
    now = _within(features, scores >= threshold, means)
    return DriftResult(
        features=shift(reference, features),
        within=shift(before, now),
        scores=shift(reference_scores[:, None], scores[:, None]),
        separation=separation(before, now),
        stretch=_stretch(*aspects, ill, scores >= threshold) if aspects else None,
    )


def _stretch(reference: np.ndarray, today: np.ndarray, ill: np.ndarray, ill_today: np.ndarray) -> Stretch | None:
    """The shift of the logarithms of aspects, (M,) and (N,); None with fewer than LEAST of either."""
    known, known_today = np.isfinite(reference), np.isfinite(today)
    if min(known.sum(), known_today.sum()) < LEAST:
        return None
    before, now = np.log(reference[known])[:, None], np.log(today[known_today])[:, None]
    ill, ill_today = ill[known], ill_today[known_today]
    means = {kind: before[ill == kind].mean(axis=0) for kind in (False, True) if (ill == kind).any()}
    now = _within(now, ill_today, means)
    found = shift(_within(before, ill, means), now)
    return Stretch(factor=float(np.exp(np.median(now))), psi=float(found.psi[0]), p=float(found.p[0]))


def _within(features: np.ndarray, ill: np.ndarray, means: dict[bool, np.ndarray]) -> np.ndarray:
    """Features less the mean of their predicted class, or of the other one where the reference has none of it."""
    known = [means.get(bool(kind), next(iter(means.values()))) for kind in ill]
    return np.asarray(features - np.stack(known))


@one_thread()
def separation(reference: np.ndarray, today: np.ndarray) -> Separation:
    """How well features of today, (N, D), are told from those of a reference, (M, D).

    A classifier two-sample test (D. Lopez-Paz, M. Oquab, "Revisiting classifier two-sample tests", ICLR 2017) by ridge
    regression: each picture is judged by a fit without it, and the p-value is that of the Mann-Whitney test on what the
    fits say.
    """
    sides = np.repeat([0, 1], [len(reference), len(today)])
    standard = StandardScaler().fit(reference)
    rows = np.concatenate([standard.transform(part.astype(np.float64)) for part in (reference, today)])
    # As strong a penalty as there are features, of variance 1: they are many more than the pictures, and much alike.
    classifier = RidgeClassifier(alpha=float(rows.shape[1]), class_weight="balanced")
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    margins = cross_val_predict(classifier, rows, sides, cv=folds, method="decision_function")
    p = stats.mannwhitneyu(margins[sides == 1], margins[sides == 0], alternative="greater").pvalue
    typical = np.argsort(-margins[sides == 1], kind="stable")[:TYPICAL]
    return Separation(auc=float(roc_auc_score(sides, margins)), p=float(p), typical=tuple(typical.tolist()))


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
    # Where the least value of the reference fills the first bin, what is less today has to fall below it.
    least = reference.min(axis=0)
    edges[0] = np.where(edges[0] == least, np.nextafter(least, -np.inf), edges[0])
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
