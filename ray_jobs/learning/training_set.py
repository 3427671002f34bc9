"""What models are fitted on, with folds by patient."""

from dataclasses import dataclass

import numpy as np

from ray_jobs.dataset.split import folds
from ray_jobs.learning.table import FeatureTable
from ray_jobs.learning.trial import Folds

FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What models are fitted on: rows (M,) of images as they are, then of their jittered views; folds by patient.

    A fold scores its images and their views alike. Views stand for what another hospital's exposure and framing would
    make of a picture, and a model that is only good on pictures as they are would win where it does not matter.
    """

    features: np.ndarray
    labels: np.ndarray
    folds: Folds
    images: int

    @classmethod
    def of(cls, table: FeatureTable, *, seed: int) -> "TrainingSet":
        """The training set of a table; raises TooLittleData where its patients are too few for the folds."""
        count, views, width = table.views.shape
        repeat = 1 + views
        labels, patients = np.tile(table.labels, repeat), np.tile(table.patients, repeat)
        jittered = table.views.transpose(1, 0, 2).reshape(count * views, width)
        return cls(
            features=np.concatenate([table.features, jittered]),
            labels=labels,
            folds=folds(labels, patients, FOLDS, seed=seed),
            images=count,
        )
