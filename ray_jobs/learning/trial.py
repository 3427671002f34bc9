"""One trial: cross-validate a candidate on patient folds. Pure; it knows neither Ray nor MLflow."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from ray_jobs.learning.search_space import Candidate
from registry.threads import one_thread

Folds = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a candidate scored: out-of-fold decision scores (M,), AUCs a fold, and seconds of one core.

    `fold_auc` is of the rows that candidates are ranked by, `plain_auc` of the images as they are.
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
        """The standard error of the mean over folds."""
        return float(np.std(self.fold_auc, ddof=1) / np.sqrt(len(self.fold_auc)))


@one_thread()
def cross_validate(
    candidate: Candidate,
    features: np.ndarray,
    labels: np.ndarray,
    folds: Folds,
    *,
    judged: np.ndarray | None = None,
    plain: np.ndarray | None = None,
) -> Trial:
    """Fit on each fold's training rows and score its others; features (M, D), labels (M,) of 0 and 1.

    `judged` and `plain`, bool (M,), are the rows that the two AUCs of each fold are taken over; None means all.

    In float32, of which the features are, the last bits that processors differ in grow until a tree splits elsewhere.
    In float64 they stay last bits.
    """
    started = time.process_time()
    scores = np.empty(len(labels))
    for train, valid in folds:
        pipeline = candidate.build(smallest_fold(folds))
        with warnings.catch_warnings():
            # A candidate that has not converged is judged by what it scores, like every other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            pipeline.fit(features[train].astype(np.float64), labels[train])
        scores[valid] = decision(pipeline, features[valid].astype(np.float64))
    return Trial(
        candidate=candidate,
        scores=scores,
        fold_auc=_fold_auc(labels, scores, folds, judged),
        plain_auc=_fold_auc(labels, scores, folds, plain),
        seconds=time.process_time() - started,
    )


def _fold_auc(labels: np.ndarray, scores: np.ndarray, folds: Folds, rows: np.ndarray | None) -> tuple[float, ...]:
    parts = [valid if rows is None else valid[rows[valid]] for _, valid in folds]
    return tuple(float(roc_auc_score(labels[part], scores[part])) for part in parts)


def smallest_fold(folds: Folds) -> int:
    """How many rows the smallest of the folds is fitted on."""
    return min(len(train) for train, _ in folds)


def decision(pipeline: Pipeline, features: np.ndarray) -> np.ndarray:
    """How strongly a pipeline leans to pneumonia, (N,): its decision function, or its probability where it has none."""
    if hasattr(pipeline, "decision_function"):
        return np.asarray(pipeline.decision_function(features))
    return np.asarray(pipeline.predict_proba(features)[:, 1])


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """What `trial_from_json` reads."""
    return {
        "family": trial.candidate.family,
        "parameters": dict(trial.candidate.parameters),
        "scores": trial.scores.tolist(),
        "fold_auc": list(trial.fold_auc),
        "plain_auc": list(trial.plain_auc),
        "seconds": trial.seconds,
    }


def trial_from_json(document: dict[str, Any]) -> Trial:
    """A trial that `trial_to_json` wrote."""
    return Trial(
        candidate=Candidate(family=document["family"], parameters=document["parameters"]),
        scores=np.array(document["scores"]),
        fold_auc=tuple(document["fold_auc"]),
        plain_auc=tuple(document["plain_auc"]),
        seconds=float(document["seconds"]),
    )
