"""Detectors of a few pictures."""

import numpy as np

from ray_jobs.dataset.split import folds
from ray_jobs.learning.out_of_distribution import fit_detector
from ray_jobs.learning.training_set import FOLDS, TrainingSet
from registry.model.out_of_distribution import OutOfDistributionDetector


def detector_of(features: np.ndarray, labels: np.ndarray) -> OutOfDistributionDetector:
    """The detector of pictures without views, each of a patient of its own; features (N, D), labels (N,)."""
    count = len(labels)
    parts = folds(labels, np.arange(count), FOLDS)
    return fit_detector(TrainingSet(features=features, labels=labels, folds=parts, images=count, fitted=len(features)))
