"""The final model of a trial: fitted on all training patients, calibrated and thresholded on scores of unseen ones."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from ray_jobs.learning.abstention import unsure_band
from ray_jobs.learning.evaluate import COSTS, best_threshold
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import Trial, smallest_fold
from registry.process.threads import one_thread

MOST_MISSED = 0.05
THRESHOLD_RULE = (
    "chosen on training patients that the fits had not seen, by their X-rays as they are and as another place might "
    f"have taken them, {COSTS}; at most {100 * MOST_MISSED:g} % of their pneumonias are missed on X-rays as they are"
)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A classifier with calibrated probabilities, and the probability from which it says pneumonia.

    Within the band `unsure` another way to take the X-ray turns many answers; None where no views tell.
    """

    estimator: CalibratedClassifierCV
    threshold: float
    unsure: tuple[float, float] | None


@one_thread()
def fit(trial: Trial, data: TrainingSet) -> Fitted:
    """Fit a trial's candidate on the training set of the trial.

    The sigmoid (Platt, 1999, "Probabilistic outputs for support vector machines") is fitted to the trial's out-of-fold
    scores, so that no patient calibrates a model that was trained on that patient; the model itself is fitted on
    everyone. Only images as they are calibrate: scores of other views are less sure, and would make all answers so. The
    threshold is chosen on the out-of-fold scores of the images as they are and of the views that models are judged by,
    never on the held-out patients: a healthy child called ill and an ill one missed count the same, as if both were
    equally many. Images alone put it too low for other acquisitions, views alone too high for one's own. Whatever the
    views say, at most MOST_MISSED of the ill children are missed on images as they are.
    """
    pipeline = trial.candidate.build(smallest_fold(data.folds))
    with warnings.catch_warnings():
        # A candidate that has not converged was judged by what it scores, and won.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(data.features[: data.fitted].astype(np.float64), data.labels[: data.fitted])
    estimator = _calibrated(pipeline, trial.scores[data.plain], data.labels[data.plain])
    calibrator = estimator.calibrated_classifiers_[0].calibrators[0]
    rows, ill = data.plain | data.judged, data.plain & (data.labels == 1)
    threshold = min(
        best_threshold(data.labels[rows], calibrator.predict(trial.scores[rows])),
        float(np.quantile(calibrator.predict(trial.scores[ill]), MOST_MISSED, method="lower")),
    )
    return Fitted(estimator=estimator, threshold=threshold, unsure=_unsure(calibrator.predict, trial, data, threshold))


def _unsure(
    calibrate: Callable[[np.ndarray], np.ndarray], trial: Trial, data: TrainingSet, threshold: float
) -> tuple[float, float] | None:
    """The band around the threshold, by what out-of-fold scores of the views that judge make of each image's answer."""
    views = trial.scores[data.fitted :]
    if not len(views):
        return None
    plain = calibrate(trial.scores[: data.images])
    return unsure_band(plain, calibrate(views).reshape(-1, data.images).T, threshold)


def _calibrated(pipeline: Pipeline, scores: np.ndarray, labels: np.ndarray) -> CalibratedClassifierCV:
    """A fitted pipeline with the sigmoid of scores (N,) that it did not give itself, for labels (N,).

    scikit-learn would fit the pipeline once a fold again to get the scores that the trial has already. So it calibrates
    a model that passes scores on, in whose place the pipeline is put then.
    """
    passes_on = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    passes_on.coef_, passes_on.intercept_ = np.ones((1, 1)), np.zeros(1)
    estimator = CalibratedClassifierCV(FrozenEstimator(passes_on), method="sigmoid", ensemble=False)
    estimator.fit(scores[:, None], labels)
    estimator.calibrated_classifiers_[0].estimator = pipeline
    estimator.n_features_in_ = pipeline.n_features_in_
    return estimator.set_params(estimator=clone(pipeline))
