"""A fitted classifier: what it says, and how it is read from a skops file without running what the file brings."""

from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator

from registry.errors import ArtefactError
from registry.process.threads import one_thread

# What our own pipelines consist of beyond skops' defaults. Fixed here and never read from a model: a list that came
# with the file would trust whatever the file's author wanted to run.
TRUSTED_TYPES = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)


def write_estimator(estimator: BaseEstimator, path: Path) -> None:
    """Write an estimator as a skops file."""
    import skops.io  # noqa: PLC0415 - it imports all of scikit-learn, which takes 3 s

    skops.io.dump(estimator, path)


def read_estimator(path: Path) -> BaseEstimator:
    """Load a skops file that holds only the types that our pipelines consist of; raises ArtefactError for any other."""
    import skops.io  # noqa: PLC0415 - it imports all of scikit-learn, which takes 3 s

    try:
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES))
        if unknown:
            raise ArtefactError(f"{path.name} holds types that are not trusted: {', '.join(unknown)}")
        estimator = skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except ArtefactError:
        raise
    # A foreign file can fail anywhere inside the reader: zip, JSON, a type that is gone. Each means the same to us.
    except Exception as error:
        raise ArtefactError(f"{path.name} is not a skops file that can be read: {error!r}") from error
    if not hasattr(estimator, "predict_proba"):
        raise ArtefactError(f"{path.name} holds a {type(estimator).__name__}, not a classifier with probabilities.")
    return estimator


@one_thread()
def probability(estimator: BaseEstimator, features: np.ndarray) -> np.ndarray:
    """Probability of the second class, float64 of shape (N,), for features of shape (N, D).

    In float32 it would depend, in its seventh digit, on how many rows are asked about at once.
    """
    return np.asarray(estimator.predict_proba(features.astype(np.float64))[:, 1], dtype=np.float64)
