"""The pictures of a drift report: scores, the features that moved most, and descriptors of typical new X-rays.

They show numbers only. Nobody can see an X-ray in them, so no picture of a patient is kept.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ray_jobs.learning.shift import DriftResult

_SHOWN = 6
_FURTHEST = 4.0  # standard deviations; colours end there
_BINS = 30


def drift_plots(
    reference: np.ndarray,
    features: np.ndarray,
    reference_scores: np.ndarray,
    scores: np.ndarray,
    *,
    result: DriftResult,
    names: Sequence[str],
) -> dict[str, Figure]:
    """A figure by file name; arguments as of `compare`, and the names (D,) of the features."""
    return {
        "scores.png": _scores(reference_scores, scores),
        "features.png": _features(reference, features, result, names),
        "descriptors.png": _descriptors(reference, features[list(result.separation.typical)], names),
    }


def _scores(reference: np.ndarray, scores: np.ndarray) -> Figure:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(0, 1, _BINS + 1).tolist()
    axes.hist([reference, scores], bins=bins, density=True, label=["evaluation", "today"])
    axes.set(xlabel="probability of pneumonia", ylabel="density", title="Scores")
    axes.legend()
    return figure


def _features(reference: np.ndarray, features: np.ndarray, result: DriftResult, names: Sequence[str]) -> Figure:
    figure = Figure(figsize=(9, 5), layout="constrained")
    figure.suptitle("Features that moved most: stability index")
    for axes, index in zip(
        figure.subplots(2, _SHOWN // 2).flat, np.argsort(-result.features.psi)[:_SHOWN], strict=True
    ):
        both = np.concatenate([reference[:, index], features[:, index]])
        low, high = np.percentile(both, [0.5, 99.5]).tolist()
        bins = np.linspace(low, high, _BINS + 1).tolist()
        axes.hist([reference[:, index], features[:, index]], bins=bins, density=True, label=["evaluation", "today"])
        axes.set_title(f"{names[index]}: {result.features.psi[index]:.2f}", fontsize=8)
        axes.tick_params(labelsize=7)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right")
    return figure


def _descriptors(reference: np.ndarray, typical: np.ndarray, names: Sequence[str]) -> Figure:
    """How far the descriptors of the X-rays that are most unlike the evaluation's lie from its mean."""
    scale = np.maximum(reference.std(axis=0), 1e-9)
    rows = np.clip((typical - reference.mean(axis=0)) / scale, -_FURTHEST, _FURTHEST)
    figure = Figure(figsize=(9, 1.4 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(rows, aspect="auto", cmap="PuOr", vmin=-_FURTHEST, vmax=_FURTHEST, interpolation="nearest")
    families = [name.partition(".")[0] for name in names]
    starts = [index for index, name in enumerate(families) if index == 0 or name != families[index - 1]]
    axes.set_xticks(starts, [families[start] for start in starts], ha="left")
    axes.set_yticks(range(len(rows)), [f"X-ray {index + 1}" for index in range(len(rows))])
    axes.set_title("Descriptors of the X-rays of today that are most unlike the evaluation's")
    figure.colorbar(shown, label="standard deviations")
    return figure
