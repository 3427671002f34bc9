"""The final model of a trial: fitted on all training patients, calibrated and thresholded on scores of unseen ones."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

from ray_jobs.learning.evaluate import best_threshold
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import Folds, Trial, smallest_fold
from registry.threads import one_thread

MOST_MISSED = 0.05


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A classifier with calibrated probabilities, and the probability from which it says pneumonia."""

    estimator: CalibratedClassifierCV
    threshold: float


@one_thread()
def fit(trial: Trial, data: TrainingSet) -> Fitted:
    """Fit a trial's candidate on the training set of the trial.

    The sigmoid (Platt, 1999, "Probabilistic outputs for support vector machines") is fitted to out-of-fold scores, so
    that no patient calibrates a model that was trained on that patient; the model itself is then fitted on everyone.
    Only images as they are calibrate: scores of jittered views are less sure, and would make all answers so. The
    threshold is chosen on the out-of-fold scores of the images as they are and of the views that models are judged by,
    never on the held-out patients: a healthy child called ill and an ill one missed count the same, as if both were
    equally many. Images alone put it too low for other acquisitions, views alone too high for one's own. Whatever the
    views say, at most MOST_MISSED of the ill children are missed on images as they are.
    """
    pipeline = trial.candidate.build(smallest_fold(data.folds))
    estimator = CalibratedClassifierCV(pipeline, method="sigmoid", ensemble=False, cv=_fitted(data))
    weights = data.plain[: data.fitted].astype(float)
    with warnings.catch_warnings():
        # A pipeline takes no weights, so scikit-learn uses them for the sigmoid alone, which is what is wanted here.
        warnings.filterwarnings("ignore", message=".*sample_weight", category=UserWarning)
        features = data.features[: data.fitted].astype(np.float64)
        estimator.fit(features, data.labels[: data.fitted], sample_weight=weights)
    calibrator = estimator.calibrated_classifiers_[0].calibrators[0]
    rows, ill = data.plain | data.judged, data.plain & (data.labels == 1)
    threshold = min(
        best_threshold(data.labels[rows], calibrator.predict(trial.scores[rows])),
        float(np.quantile(calibrator.predict(trial.scores[ill]), MOST_MISSED)),
    )
    # The folds are rows of a table that the model is stored without.
    return Fitted(estimator=estimator.set_params(cv=None), threshold=threshold)


def _fitted(data: TrainingSet) -> Folds:
    """The folds without the rows that are only judged by."""
    return [(train, valid[valid < data.fitted]) for train, valid in data.folds]
