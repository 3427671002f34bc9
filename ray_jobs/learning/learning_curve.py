"""Whether more X-rays to fit on would help: how well a candidate judges when it is fitted on parts of a sample.

C. Cortes et al., "Learning curves: asymptotic values and rate of convergence", NeurIPS 1993.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ray_jobs.learning.sample import key_of
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import FoldScores, Trial, fit_fold

PARTS = (0.125, 0.25, 0.5)
WORTH = 0.001  # of AUC for twice the X-rays; less is not worth their time


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Mean AUC over folds, (K,), by how many X-rays were fitted on, and what the last doubling brought.

    `error` is the standard error of `gain`, over the same folds.
    """

    sizes: tuple[int, ...]
    auc: tuple[float, ...]
    gain: float
    error: float

    @property
    def more_would_help(self) -> bool:
        """Whether twice the X-rays brought more than chance and than WORTH."""
        return self.gain - 2 * self.error > 0 and self.gain >= WORTH

    def metrics(self) -> dict[str, float]:
        """What the last doubling brought, as MLflow keeps it."""
        return {"learning_curve_gain": self.gain, "learning_curve_gain_error": self.error}

    def __str__(self) -> str:
        advice = "more would hardly help" if self.gain < WORTH else "that may be chance"
        advice = "raise TRAINING_SAMPLE" if self.more_would_help else advice
        return f"AUC {self.gain:+.4f} ± {self.error:.4f} from {self.sizes[-2]:,} to {self.sizes[-1]:,} X-rays: {advice}"


def parts_with_both_classes(data: TrainingSet, patients: np.ndarray) -> tuple[float, ...]:
    """Those of PARTS that leave both classes to fit on in every fold; of a rare class, a small part may have nobody."""
    return tuple(
        part
        for part in PARTS
        if all(len(np.unique(data.labels[_rows(data, patients, fold, part)])) == 2 for fold in range(len(data.folds)))
    )


def fit_part(trial: Trial, data: TrainingSet, patients: np.ndarray, *, fold: int, part: float) -> FoldScores:
    """Fit a trial's candidate on a part of a fold's patients and score all others; `patients` (N,) of the N images."""
    rows, valid = _rows(data, patients, fold, part), data.folds[fold][1]
    folds = [(rows, valid) if index == fold else pair for index, pair in enumerate(data.folds)]
    return fit_fold(trial.candidate, data.features, data.labels, folds, fold=fold, judged=data.judged, plain=data.plain)


def _rows(data: TrainingSet, patients: np.ndarray, fold: int, part: float) -> np.ndarray:
    """The rows of a part of a fold's patients.

    They are ordered by a hash of their ids, so that a smaller part lies within a larger one.
    """
    numbers = np.array([key_of(patient) for patient in patients.tolist()], np.uint64)
    chosen = np.tile(numbers < np.uint64(int(part * 2**64)), len(data.labels) // data.images)
    train = data.folds[fold][0]
    return np.asarray(train[chosen[train]])


def learning_curve(trial: Trial, data: TrainingSet, found: Mapping[float, Iterable[FoldScores]]) -> LearningCurve:
    """The curve of a trial whose parts were fitted: by part, what was found on each fold."""
    by_part = {part: np.array([each.auc for each in scores]) for part, scores in found.items()}
    whole, size = np.array(trial.fold_auc), round(data.images * (1 - 1 / len(data.folds)))
    last = whole - by_part[max(by_part)]
    return LearningCurve(
        sizes=(*(round(size * part) for part in sorted(by_part)), size),
        auc=(*(float(by_part[part].mean()) for part in sorted(by_part)), float(whole.mean())),
        gain=float(last.mean()),
        error=float(last.std(ddof=1) / np.sqrt(len(last))),
    )
