"""The final model of a trial: fitted on all training patients, calibrated and thresholded on scores of unseen ones."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

from ray_jobs.learning.evaluate import best_threshold
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import Trial, smallest_fold
from registry.threads import one_thread


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
    threshold is chosen on the out-of-fold scores of the images as they are, never on the held-out patients.
    """
    pipeline = trial.candidate.build(smallest_fold(data.folds))
    estimator = CalibratedClassifierCV(pipeline, method="sigmoid", ensemble=False, cv=data.folds)
    weights = (np.arange(len(data.labels)) < data.images).astype(float)
    with warnings.catch_warnings():
        # A pipeline takes no weights, so scikit-learn uses them for the sigmoid alone, which is what is wanted here.
        warnings.filterwarnings("ignore", message=".*sample_weight", category=UserWarning)
        estimator.fit(data.features.astype(np.float64), data.labels, sample_weight=weights)
    calibrator = estimator.calibrated_classifiers_[0].calibrators[0]
    probabilities = calibrator.predict(trial.scores[: data.images])
    threshold = best_threshold(data.labels[: data.images], probabilities)
    # The folds are rows of a table that the model is stored without.
    return Fitted(estimator=estimator.set_params(cv=None), threshold=threshold)
