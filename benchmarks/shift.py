"""Which model holds on X-rays that were taken, framed and sent otherwise? `python -m benchmarks.shift --data FOLDER`.

FOLDER holds NORMAL/ and PNEUMONIA/. Models with and without views of other acquisitions learn from the same patients;
one patient in five is held out. Each model has its own threshold, chosen on patients that its fit had not seen. Shown
are AUC and accuracy of every change, and how many labels it flips.
"""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from features.acquisition import Acquisition, other_acquisitions
from features.extract import describe, extract_views
from features.reading.decode import decode
from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs.dataset.layout import patient_of
from ray_jobs.dataset.split import is_held_out
from ray_jobs.learning.changes import CHANGES
from ray_jobs.learning.fit import Fitted, fit
from ray_jobs.learning.search_space import Candidate, candidates
from ray_jobs.learning.table import FeatureTable
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate

_ACQUISITION = Acquisition()
SPECS = {
    "whole frame": replace(DEFAULT_SPEC, lungs=None),
    "lungs, no views": replace(DEFAULT_SPEC, acquisition=replace(_ACQUISITION, fitted=0)),
    "lungs, one view": replace(DEFAULT_SPEC, acquisition=replace(_ACQUISITION, fitted=1)),
    "default": DEFAULT_SPEC,
}
SHIFTED = "other acquisition"


def rows_of(job: tuple[Path, FeatureSpec, bool]) -> np.ndarray:
    """The rows of an X-ray to learn from, or of a held-out one: as it is, of another acquisition, and changed."""
    path, spec, held_out = job
    cv2.setNumThreads(1)
    if not held_out:
        return extract_views(path.read_bytes(), spec)
    pixels = decode(path.read_bytes())
    other = other_acquisitions(pixels, path.name.encode(), replace(_ACQUISITION, fitted=0))
    return np.stack(
        [describe(seen, spec) for seen in (pixels, *other, *(change(pixels) for change in CHANGES.values()))]
    )


def table_of(paths: list[Path], rows: np.ndarray, spec: FeatureSpec) -> FeatureTable:
    """What a training has of its X-rays."""
    fitted = 1 + spec.rows.fitted
    return FeatureTable(
        features=rows[:, 0],
        views=rows[:, 1:fitted],
        judged=rows[:, fitted:],
        sha256=np.array([path.name for path in paths]),
        labels=labels_of(paths),
        patients=np.array([patient_of(path.name) for path in paths]),
        roles=np.full(len(paths), "train"),
    )


def labels_of(paths: list[Path]) -> np.ndarray:
    """0 or 1 a path, by its folder."""
    return np.array([int(path.parent.name == "PNEUMONIA") for path in paths])


def fitted_to(table: FeatureTable, candidate: Candidate) -> Fitted:
    """One candidate, as a training fits it."""
    data = TrainingSet.of(table, seed=0)
    return fit(cross_validate(candidate, data.features, data.labels, data.folds, judged=data.judged), data)


def lines(fitted: Fitted, held_out: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    """A line for each change of the held-out X-rays, (N, changes, D)."""
    plain = fitted.estimator.predict_proba(held_out[:, 0])[:, 1] >= fitted.threshold
    for index, name in enumerate(["as it is", SHIFTED, *CHANGES]):
        probabilities = fitted.estimator.predict_proba(held_out[:, index])[:, 1]
        said = probabilities >= fitted.threshold
        yield (
            f"  {name:18} AUC {roc_auc_score(labels, probabilities):.4f}  accuracy {np.mean(said == labels):.3f}  "
            f"sensitivity {np.mean(said[labels == 1]):.3f}  specificity {np.mean(~said[labels == 0]):.3f}  "
            f"flipped {100 * np.mean(said != plain):4.1f} %"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shift", description="Models and shifts, a table.")
    parser.add_argument("--data", type=Path, required=True, help="folder with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--models", nargs="+", choices=list(SPECS), default=list(SPECS), help="which (default: all)")
    parser.add_argument("--most", type=int, default=2000, help="X-rays to learn from, evenly chosen (default 2000)")
    options = parser.parse_args()
    paths = sorted(path for path in options.data.rglob("*") if path.parent.name in ("NORMAL", "PNEUMONIA"))
    sides = {side: [path for path in paths if is_held_out(patient_of(path.name)) == side] for side in (False, True)}
    train = sides[False][:: max(1, len(sides[False]) // options.most)]
    held_out = sides[True][:: max(1, 4 * len(sides[True]) // options.most)]
    print(f"{len(train)} X-rays to learn from, {len(held_out)} of other patients")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name in options.models:
            spec = SPECS[name]
            learnt, judged = (
                np.stack(list(pool.map(rows_of, [(path, spec, side) for path in chosen], chunksize=16)))
                for chosen, side in ((train, False), (held_out, True))
            )
            candidate = candidates(1, seed=0)[0]
            fitted = fitted_to(table_of(train, learnt, spec), candidate)
            print(f"{name}: {candidate}, threshold {fitted.threshold:.3f}")
            for line in lines(fitted, judged, labels_of(held_out)):
                print(line)


if __name__ == "__main__":
    main()
