"""The pictures of an evaluation and of a sweep: curves, calibration, confusion, parts of the data, candidates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

from ray_jobs.learning.abstention import coverage_curve, covered
from ray_jobs.learning.evaluate import Evaluation
from ray_jobs.learning.learning_curve import LearningCurve
from ray_jobs.learning.slices import Slice
from ray_jobs.learning.trial import Trial

TRIAL_COLUMNS = ["family", "folds", "AUC shifted", "AUC plain", "seconds", "parameters"]


def plots(
    labels: np.ndarray,
    probabilities: np.ndarray,
    evaluation: Evaluation,
    *,
    unsure: tuple[float, float] | None = None,
) -> dict[str, Figure]:
    """A figure by file name, for labels and probabilities of shape (N,); `unsure` is the band near the threshold."""
    return {
        "abstention.png": _abstention(labels, probabilities, evaluation, unsure),
        "roc.png": _roc(labels, probabilities, evaluation),
        "calibration.png": _calibration(labels, probabilities, evaluation),
        "confusion.png": _confusion(labels, probabilities, evaluation),
    }


def part_plots(
    labels: np.ndarray, probabilities: np.ndarray, slices: Sequence[Slice], evaluation: Evaluation
) -> dict[str, Figure]:
    """What every threshold would give, and the AUC of each part of the data; labels and probabilities (N,)."""
    return {
        "thresholds.png": _thresholds(labels, probabilities, evaluation),
        "slices.png": _slices(slices, evaluation),
    }


def curve_plot(curve: LearningCurve) -> Figure:
    """A learning curve, its sizes on a logarithmic axis."""
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.sizes, curve.auc, marker="o")
    axes.set_xscale("log", base=2)
    axes.set_xticks(curve.sizes, [f"{size:,}" for size in curve.sizes])
    axes.set(xlabel="X-rays fitted on", ylabel="AUC of unseen patients, other views", title="Learning curve")
    return figure


def trials_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """A sweep's candidates, best first: those tried on all folds, then the others."""
    rows = [
        {
            "family": trial.candidate.family,
            "folds": len(trial.fold_auc),
            "AUC shifted": trial.auc,
            "AUC plain": float(np.mean(trial.plain_auc)),
            "seconds": trial.seconds,
            "parameters": ", ".join(f"{name}={value}" for name, value in sorted(trial.candidate.parameters.items())),
        }
        for trial in trials
    ]
    return ranked(pd.DataFrame(rows, columns=TRIAL_COLUMNS))


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of TRIAL_COLUMNS in the order of `trials_table`."""
    return table.sort_values(["folds", "AUC shifted"], ascending=False, ignore_index=True)


def trials_figure(table: pd.DataFrame) -> Figure:
    """Each candidate's AUC on plain and on shifted pictures, and what it cost."""
    figure = Figure(figsize=(9, 1.5 + 0.28 * len(table)), layout="constrained")
    ranking, cost = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    places = -np.arange(len(table))
    ranking.hlines(places, table["AUC shifted"], table["AUC plain"], color="lightgrey", zorder=0)
    ranking.plot(table["AUC plain"], places, "o", label="plain")
    ranking.plot(table["AUC shifted"], places, "^", label="shifted, which ranks them")
    tried = zip(table["family"], table["folds"], strict=True)
    names = [f"{family}, {'1 fold' if folds == 1 else f'{folds} folds'}" for family, folds in tried]
    ranking.set_yticks(places, names)
    ranking.set(xlabel="AUC, cross-validated by patient", title="Candidates")
    ranking.legend(fontsize=8)
    cost.barh(places, table["seconds"], color="grey")
    cost.set(xlabel="seconds", title="Time of their fits")
    return figure


def _thresholds(labels: np.ndarray, probabilities: np.ndarray, evaluation: Evaluation) -> Figure:
    figure, axes = _empty(f"Thresholds, {_group(evaluation)}")
    limits = np.linspace(0, 1, 201)
    positive = probabilities[None] >= limits[:, None]
    axes.plot(limits, (positive == (labels == 1)).mean(axis=1), label="accuracy")
    axes.plot(limits, positive[:, labels == 1].mean(axis=1), label="sensitivity")
    axes.plot(limits, 1 - positive[:, labels == 0].mean(axis=1), label="specificity")
    axes.axvline(evaluation.threshold, color="grey", linestyle=":", label=f"in use, {evaluation.threshold:.2f}")
    axes.set(xlabel="threshold", ylim=(0, 1.02))
    axes.legend(loc="lower center")
    return figure


def _slices(slices: Sequence[Slice], evaluation: Evaluation) -> Figure:
    shown = [(f"{part.property}: {part.value}", part.evaluation) for part in slices if part.evaluation]
    shown = [("all", evaluation), *shown]
    figure = Figure(figsize=(7, 1.2 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = -np.arange(len(shown))
    values = np.array([(part.auc.value, part.auc.low, part.auc.high) for _, part in shown])
    axes.errorbar(values[:, 0], places, xerr=np.maximum(np.abs(values[:, 1:] - values[:, :1]).T, 0), fmt="o", capsize=3)
    axes.set_yticks(places, [name for name, _ in shown])
    axes.set(xlabel="AUC, 95 % interval", title="Parts of the data")
    return figure


def _abstention(
    labels: np.ndarray, probabilities: np.ndarray, evaluation: Evaluation, unsure: tuple[float, float] | None
) -> Figure:
    figure, axes = _empty(f"Abstention, {_group(evaluation)}")
    coverage, accuracy = coverage_curve(labels, probabilities, evaluation.threshold)
    half = coverage >= 0.5  # nobody would abstain from more
    axes.plot(coverage[half], accuracy[half])
    if unsure:
        found = covered(labels, probabilities, evaluation.threshold, unsure)
        if found.accuracy is not None:
            axes.plot(found.coverage, found.accuracy, "o", label=f"unsure from {unsure[0]:.2f} to {unsure[1]:.2f}")
            axes.legend(loc="lower left")
    axes.set(xlabel="coverage: share that is answered", ylabel="accuracy of the answers")
    return figure


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
