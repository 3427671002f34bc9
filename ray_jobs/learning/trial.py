"""One trial: cross-validate a candidate on patient folds. Pure; it knows neither Ray nor MLflow."""

import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from ray_jobs.learning.search_space import Candidate
from registry.process.threads import one_thread

Folds = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class FoldScores:
    """What a candidate says of one fold's patients, fitted on the others: decision scores (V,), AUCs, and seconds.

    `auc` is of the rows that candidates are ranked by, `plain_auc` of the images as they are.
    """

    fold: int
    scores: np.ndarray
    auc: float
    plain_auc: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a candidate scored: out-of-fold decision scores (M,), AUCs a fold, and seconds of one core.

    Scores are NaN for the patients of folds that it was not tried on, because others were better by then.
    """

    candidate: Candidate
    scores: np.ndarray
    fold_auc: tuple[float, ...]
    plain_auc: tuple[float, ...]
    seconds: float

    @property
    def auc(self) -> float:
        """The mean over folds."""
        return float(np.mean(self.fold_auc))

    @property
    def spread(self) -> float:
        """The standard error of the mean over folds; NaN for a single one."""
        count = len(self.fold_auc)
        return float(np.std(self.fold_auc, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")


def cross_validate(
    candidate: Candidate,
    features: np.ndarray,
    labels: np.ndarray,
    folds: Folds,
    *,
    judged: np.ndarray | None = None,
    plain: np.ndarray | None = None,
) -> Trial:
    """Try a candidate on every fold; arguments as of `fit_fold`."""
    found = [
        fit_fold(candidate, features, labels, folds, fold=fold, judged=judged, plain=plain)
        for fold in range(len(folds))
    ]
    return trial_of(candidate, folds, found)


@one_thread()
def fit_fold(
    candidate: Candidate,
    features: np.ndarray,
    labels: np.ndarray,
    folds: Folds,
    *,
    fold: int,
    judged: np.ndarray | None = None,
    plain: np.ndarray | None = None,
) -> FoldScores:
    """Fit on a fold's training rows and score its others; features (M, D), labels (M,) of 0 and 1.

    `judged` and `plain`, bool (M,), are the rows that the two AUCs are taken over; None means all.

    In float32, of which the features are, the last bits that processors differ in grow until a tree splits elsewhere.
    In float64 they stay last bits.
    """
    started = time.process_time()
    train, valid = folds[fold]
    pipeline = candidate.build(smallest_fold(folds))
    with warnings.catch_warnings():
        # A candidate that has not converged is judged by what it scores, like every other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(features[train].astype(np.float64), labels[train])
    scores = decision(pipeline, features[valid].astype(np.float64))
    return FoldScores(
        fold=fold,
        scores=scores,
        auc=_auc(labels[valid], scores, judged, valid),
        plain_auc=_auc(labels[valid], scores, plain, valid),
        seconds=time.process_time() - started,
    )


def _auc(labels: np.ndarray, scores: np.ndarray, rows: np.ndarray | None, valid: np.ndarray) -> float:
    chosen = np.full(len(valid), True) if rows is None else rows[valid]
    return float(roc_auc_score(labels[chosen], scores[chosen]))


def trial_of(candidate: Candidate, folds: Folds, found: Iterable[FoldScores]) -> Trial:
    """A candidate's trial from the folds that it was tried on."""
    tried = sorted(found, key=lambda each: each.fold)
    scores = np.full(sum(len(valid) for _, valid in folds), np.nan)
    for each in tried:
        scores[folds[each.fold][1]] = each.scores
    return Trial(
        candidate=candidate,
        scores=scores,
        fold_auc=tuple(each.auc for each in tried),
        plain_auc=tuple(each.plain_auc for each in tried),
        seconds=sum(each.seconds for each in tried),
    )


def smallest_fold(folds: Folds) -> int:
    """How many rows the smallest of the folds is fitted on."""
    return min(len(train) for train, _ in folds)


def decision(pipeline: Pipeline, features: np.ndarray) -> np.ndarray:
    """How strongly a pipeline leans to pneumonia, (N,): its decision function, or its probability where it has none."""
    if hasattr(pipeline, "decision_function"):
        return np.asarray(pipeline.decision_function(features))
    return np.asarray(pipeline.predict_proba(features)[:, 1])


def fold_to_json(found: FoldScores) -> dict[str, Any]:
    """What `fold_from_json` reads."""
    return {**asdict(found), "scores": found.scores.tolist()}


def fold_from_json(document: dict[str, Any]) -> FoldScores:
    """A fold's scores that `fold_to_json` wrote."""
    return FoldScores(**{**document, "scores": np.array(document["scores"])})
