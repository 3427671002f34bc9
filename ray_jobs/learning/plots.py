"""The pictures of an evaluation: ROC curve, calibration and confusion matrix."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

from ray_jobs.learning.evaluate import Evaluation


def plots(labels: np.ndarray, probabilities: np.ndarray, evaluation: Evaluation) -> dict[str, Figure]:
    """A figure by file name, for labels and probabilities of shape (N,)."""
    return {
        "roc.png": _roc(labels, probabilities, evaluation),
        "calibration.png": _calibration(labels, probabilities, evaluation),
        "confusion.png": _confusion(labels, probabilities, evaluation),
    }


def _roc(labels: np.ndarray, probabilities: np.ndarray, evaluation: Evaluation) -> Figure:
    figure, axes = _empty(f"ROC on {_group(evaluation)}")
    RocCurveDisplay.from_predictions(
        labels, probabilities, ax=axes, name=f"AUC {evaluation.auc}", plot_chance_level=True
    )
    axes.plot(
        1 - evaluation.specificity.value,
        evaluation.sensitivity.value,
        "o",
        label=f"threshold {evaluation.threshold:.2f}",
    )
    axes.set(xlabel="1 − specificity", ylabel="sensitivity")
    axes.legend(loc="lower right")
    return figure


def _calibration(labels: np.ndarray, probabilities: np.ndarray, evaluation: Evaluation) -> Figure:
    figure, axes = _empty(f"Calibration on {_group(evaluation)}")
    CalibrationDisplay.from_predictions(
        labels, probabilities, n_bins=10, strategy="quantile", ax=axes, name=f"Brier score {evaluation.brier}"
    )
    axes.set(xlabel="predicted probability of pneumonia", ylabel="share with pneumonia")
    return figure


def _confusion(labels: np.ndarray, probabilities: np.ndarray, evaluation: Evaluation) -> Figure:
    figure, axes = _empty(f"At threshold {evaluation.threshold:.2f}, {_group(evaluation)}")
    ConfusionMatrixDisplay.from_predictions(
        labels,
        probabilities >= evaluation.threshold,
        display_labels=["NORMAL", "PNEUMONIA"],
        ax=axes,
        colorbar=False,
        cmap="Blues",
    )
    return figure


def _empty(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _group(evaluation: Evaluation) -> str:
    return f"{evaluation.images} X-rays of {evaluation.patients} patients"
