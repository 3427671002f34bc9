"""How good a model is on patients that it has not seen, with intervals that know that a patient has several X-rays."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta
from sklearn.metrics import roc_curve

from registry.model.model_card import XRAYS

RESAMPLES = 1000
CONFIDENCE = 0.95
CALIBRATION_BINS = 10
COSTS = "as if a missed pneumonia cost as much as a false alarm and both classes were equally frequent"
"""What every threshold assumes that is chosen here: by sensitivity + specificity, or with classes of equal weight."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Numbers of one model on some X-rays, at one threshold.

    `brier` is the mean squared error of the probabilities, `calibration_error` how far on average the share of
    pneumonia lies from the mean probability, in ten bins of equally many X-rays (Naeini, Cooper, Hauskrecht, 2015,
    "Obtaining well calibrated probabilities using Bayesian binning", AAAI).
    """

    images: int
    patients: int
    pneumonia: int
    threshold: float
    auc: Estimate
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: Estimate
    calibration_error: Estimate

    def metrics(self, prefix: str) -> dict[str, float]:
        """The numbers and the ends of their intervals, flat, as MLflow keeps them."""
        flat: dict[str, float] = {}
        for name in METRICS:
            estimate: Estimate = getattr(self, name)
            flat |= {
                f"{prefix}_{name}": estimate.value,
                f"{prefix}_{name}_low": estimate.low,
                f"{prefix}_{name}_high": estimate.high,
            }
        return flat


def description(evaluations: Mapping[str, Evaluation], *, threshold: float, rule: str) -> str:
    """How good a model is, in lines for MLflow's pages, by evaluations of the names in XRAYS; with 95 % intervals.

    `rule` says how the threshold was chosen.
    """
    lines = [
        f"{evaluations[name].images} {xrays}: AUC {evaluations[name].auc}, accuracy {evaluations[name].accuracy}, "
        f"sensitivity {evaluations[name].sensitivity}, specificity {evaluations[name].specificity}."
        for name, xrays in XRAYS.items()
        if name in evaluations
    ]
    return "\n\n".join([*lines, f"Threshold {threshold:.3f}, {rule}."])


METRICS = ("auc", "accuracy", "sensitivity", "specificity", "brier", "calibration_error")


def evaluate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    patients: np.ndarray,
    *,
    threshold: float,
    said: np.ndarray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Evaluate probabilities of shape (N,) against labels (N,) of 0 and 1, patients (N,) being any identifiers.

    Where each X-ray was judged several times, by thresholds that had not seen it, `said` (N,) is the share of these
    that said pneumonia; otherwise what is at or above the threshold is.

    Intervals are percentiles of a bootstrap that draws patients, not images: images of one patient are alike, and
    drawing them as if they were independent would give intervals that are too narrow (Field and Welsh, 2007,
    "Bootstrapping clustered data", JRSS B 69(3)). Where all answers are right, or all wrong, so they
    are in every sample, and a rate has the interval of `share`: twelve right answers of twelve prove no perfect model.

    Raises
    ------
    ValueError
        If only one class is there, so that neither AUC nor one of the rates exists.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError(f"All {len(labels)} X-rays are of one class; an evaluation needs both, add the other.")
    codes, sick = np.unique(patients, return_inverse=True)[1], labels == 1
    said = (probabilities >= threshold).astype(float) if said is None else said
    numbers = _numbers(labels, probabilities, said)
    weighted = patient_weights(labels, codes, seed=seed, resamples=resamples)
    samples = np.array([numbers(weights) for weights in weighted])
    values = numbers(np.ones(len(labels)))
    # Chance alone opens gaps between share and probability, once more in each sample: what it adds is taken off.
    added = samples[:, -1].mean() - values[-1]
    samples[:, -1] = np.maximum(samples[:, -1] - added, 0.0)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(samples, [tail, 100 - tail], axis=0)
    estimates = {
        name: Estimate(value=float(values[i]), low=float(low[i]), high=float(high[i])) for i, name in enumerate(METRICS)
    }
    right = np.where(sick, said, 1.0 - said)
    for name, rows in {"accuracy": np.full(len(labels), True), "sensitivity": sick, "specificity": ~sick}.items():
        if np.ptp(right[rows]) == 0:
            estimates[name] = share(right[rows], len(np.unique(codes[rows])))
    return Evaluation(
        images=len(labels),
        patients=int(codes.max()) + 1,
        pneumonia=int(labels.sum()),
        threshold=threshold,
        **estimates,
    )


def share(chosen: np.ndarray, patients: int) -> Estimate:
    """A share of pictures, bool (N,), with the interval that it would have with one picture a patient.

    C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits", Biometrika 26, 1934: also where nothing
    was refused the interval has a width, which a bootstrap's would not.
    """
    value = float(np.mean(chosen))
    hits, tail = value * patients, (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, patients - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, patients - hits)) if hits < patients else 1.0
    return Estimate(value=value, low=low, high=high)


def evaluate_views(
    labels: np.ndarray, probabilities: np.ndarray, patients: np.ndarray, *, threshold: float
) -> Evaluation | None:
    """Evaluate probabilities (N, J) of J views of N images, each as an X-ray of the image's patient; None without J."""
    views = probabilities.shape[1]
    if views == 0:
        return None
    return evaluate(np.repeat(labels, views), probabilities.ravel(), np.repeat(patients, views), threshold=threshold)


def view_probabilities(features: np.ndarray, probability: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Probabilities (N, J) of features (N, J, D) of J views of N images, by a function of features (M, D)."""
    count, views, width = features.shape
    if views == 0:
        return np.empty((count, 0))
    return probability(features.reshape(count * views, width)).reshape(count, views)


def patient_weights(
    labels: np.ndarray, codes: np.ndarray, *, seed: int, resamples: int = RESAMPLES
) -> Iterator[np.ndarray]:
    """Weights (N,) of each sample: how often an image's patient was drawn. Samples of one class are left out.

    They are drawn one by one: a thousand of them for 200,000 X-rays would take 1.6 GB.
    """
    random = np.random.default_rng(seed)
    count = int(codes.max()) + 1
    chances = np.full(count, 1 / count)
    for _ in range(resamples):
        weights = random.multinomial(count, chances)[codes].astype(float)
        if len(np.unique(labels[weights > 0])) == 2:
            yield weights


def weighted_auc(labels: np.ndarray, probabilities: np.ndarray) -> Callable[[np.ndarray], float]:
    """The AUC of probabilities (N,) for labels (N,) of 0 and 1, as a function of weights (N,); equals count half.

    Probabilities are sorted once. `roc_auc_score` sorts and checks them for each of a thousand samples again, which was
    nearly all the time that an evaluation took. Raises ValueError where a probability is not a number.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("Some probabilities are not finite, so they have no order; look for what computed them.")
    order = np.argsort(probabilities, kind="stable")
    sick, ascending = labels[order] == 1, probabilities[order]
    begins = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))

    def auc(weights: np.ndarray) -> float:
        ordered = weights[order]
        positive, negative = (np.add.reduceat(ordered * side, begins) for side in (sick, ~sick))
        below = np.cumsum(negative) - negative / 2
        return float(np.sum(positive * below) / (positive.sum() * negative.sum()))

    return auc


def _numbers(
    labels: np.ndarray, probabilities: np.ndarray, said: np.ndarray
) -> Callable[[np.ndarray], tuple[float, ...]]:
    """The values of METRICS, in their order, as a function of weights (N,)."""
    sick = labels == 1
    right = np.where(sick, said, 1.0 - said)
    auc, squared_error = weighted_auc(labels, probabilities), np.square(probabilities - labels)

    def numbers(weights: np.ndarray) -> tuple[float, ...]:
        return (
            auc(weights),
            float(np.average(right, weights=weights)),
            float(np.average(right[sick], weights=weights[sick])),
            float(np.average(right[~sick], weights=weights[~sick])),
            float(np.average(squared_error, weights=weights)),
            calibration_error(labels, probabilities, weights),
        )

    return numbers


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """The weighted mean over bins of |share with pneumonia - mean probability|, all arrays of shape (N,)."""
    ranks = np.empty(len(labels), dtype=np.intp)
    ranks[np.argsort(probabilities, kind="stable")] = np.arange(len(labels))
    gaps = np.bincount(ranks * CALIBRATION_BINS // len(labels), weights=weights * (labels - probabilities))
    return float(np.abs(gaps).sum() / weights.sum())


def best_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the largest sensitivity + specificity (Youden, 1950, "Index for rating diagnostic tests").

    It lies halfway between the two neighbouring probabilities that it separates, so that the last digit of a
    probability decides nothing.
    """
    false_positive_rate, true_positive_rate, thresholds = roc_curve(labels, probabilities, drop_intermediate=False)
    best = int(np.argmax(true_positive_rate - false_positive_rate))
    chosen = min(float(thresholds[best]), 1.0)
    below = probabilities[probabilities < chosen]
    return float((chosen + below.max()) / 2) if len(below) else chosen
