"""How good a model is on parts of a dataset: by cause, size, aspect, exposure, and by what the server would do."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ray_jobs.learning.evaluate import Evaluation, best_threshold, evaluate, patient_weights

LEAST = 10  # X-rays of a class; with fewer a part is counted and not evaluated
RESAMPLES = 200  # of a part: its interval is wide, and the second digit of its ends is all that can be read
_PARTS = 3
_CAUSES = {"bacterial": re.compile(r"_bacteria_", re.IGNORECASE), "viral": re.compile(r"_virus_", re.IGNORECASE)}


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A part of a dataset by some property, such as "aspect", "below 1.2"; `evaluation` is None where it is too small.

    `pneumonia` and `normal` count its X-rays.
    """

    property: str
    value: str
    normal: int
    pneumonia: int
    evaluation: Evaluation | None


@dataclass(frozen=True, kw_only=True)
class ThresholdAdvice:
    """The threshold that would have been best on some X-rays, with its 95 % interval, and the evaluation there.

    It was chosen on the X-rays that it is evaluated on, so the evaluation flatters.
    """

    threshold: float
    low: float
    high: float
    evaluation: Evaluation


def slices(
    labels: np.ndarray,
    probabilities: np.ndarray,
    patients: np.ndarray,
    parts: Mapping[str, Mapping[str, np.ndarray]],
    *,
    threshold: float,
) -> Iterator[Slice]:
    """Each part that has any X-ray, evaluated; `parts` are masks (N,) by property and value."""
    for name, values in parts.items():
        for value, rows in values.items():
            if not rows.any():
                continue
            pneumonia = int(labels[rows].sum())
            normal = int(rows.sum()) - pneumonia
            evaluation = None
            if min(normal, pneumonia) >= LEAST:
                evaluation = evaluate(
                    labels[rows], probabilities[rows], patients[rows], threshold=threshold, resamples=RESAMPLES
                )
            yield Slice(property=name, value=value, normal=normal, pneumonia=pneumonia, evaluation=evaluation)


def causes(names: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Where file names (N,) tell it: pneumonias of each cause, beside all that are normal."""
    found = {}
    for cause, pattern in _CAUSES.items():
        matching = np.array([bool(pattern.search(name)) for name in names])
        if matching.any():
            found[cause] = matching | (labels == 0)
    return found


def thirds(values: np.ndarray, digits: int) -> dict[str, np.ndarray]:
    """Masks of the lower, middle and upper third of numbers (N,); nothing where they are too much alike to be cut."""
    edges = np.unique(np.round(np.quantile(values, np.arange(1, _PARTS) / _PARTS), digits))
    masks = {}
    for index in range(len(edges) + 1):
        low = edges[index - 1] if index else -np.inf
        high = edges[index] if index < len(edges) else np.inf
        name = f"below {high:.{digits}f}" if index == 0 else f"from {low:.{digits}f}"
        if 0 < index < len(edges):
            name += f" to {high:.{digits}f}"
        masks[name] = (values >= low) & (values < high)
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    return masks if len(masks) > 1 else {}


def advise(labels: np.ndarray, probabilities: np.ndarray, patients: np.ndarray) -> ThresholdAdvice:
    """The best threshold of X-rays, arrays (N,), with an interval by a bootstrap that draws patients."""
    codes = np.unique(patients, return_inverse=True)[1]
    drawn = [
        best_threshold(np.repeat(labels, weights.astype(int)), np.repeat(probabilities, weights.astype(int)))
        for weights in patient_weights(labels, codes, seed=0, resamples=RESAMPLES)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    threshold = best_threshold(labels, probabilities)
    found = evaluate(labels, probabilities, patients, threshold=threshold, resamples=RESAMPLES)
    return ThresholdAdvice(threshold=threshold, low=float(low), high=float(high), evaluation=found)
