"""What models are fitted on, with folds by patient."""

from dataclasses import dataclass

import numpy as np

from ray_jobs.dataset.split import folds
from ray_jobs.learning.table import FeatureTable
from ray_jobs.learning.trial import Folds

FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Rows (M,) of images as they are, of their views for training, and of views to judge by; folds by patient.

    Models are fitted on the first `fitted` rows, so a fold's training part holds none beyond them, and are ranked by
    what they make of unseen patients in the rest: these stand for another hospital's framing, exposure and processing,
    and a model that is only good on pictures as they are would win where it does not matter.
    """

    features: np.ndarray
    labels: np.ndarray
    folds: Folds
    images: int
    fitted: int

    @property
    def plain(self) -> np.ndarray:
        """Bool (M,): the images as they are."""
        return np.arange(len(self.labels)) < self.images

    @property
    def judged(self) -> np.ndarray:
        """Bool (M,): the rows that models are ranked by; without views to judge by, all of them."""
        none = self.fitted == len(self.labels)
        return np.full(len(self.labels), True) if none else np.arange(len(self.labels)) >= self.fitted

    @classmethod
    def of(cls, table: FeatureTable, *, seed: int) -> "TrainingSet":
        """The training set of a table; raises TooLittleData where its patients are too few for the folds."""
        count, fitted = len(table), len(table) * (1 + table.views.shape[1])
        repeat = 1 + table.views.shape[1] + table.judged.shape[1]
        labels, patients = np.tile(table.labels, repeat), np.tile(table.patients, repeat)
        return cls(
            features=np.concatenate([table.features, _stacked(table.views), _stacked(table.judged)]),
            labels=labels,
            folds=[(train[train < fitted], valid) for train, valid in folds(labels, patients, FOLDS, seed=seed)],
            images=count,
            fitted=fitted,
        )


def _stacked(views: np.ndarray) -> np.ndarray:
    """Views (N, V, D) as rows (V·N, D): all first ones, then all second ones."""
    return views.transpose(1, 0, 2).reshape(-1, views.shape[2])
