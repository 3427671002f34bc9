"""Which model holds on X-rays that were taken, framed and sent otherwise? `python -m benchmarks.shift --data FOLDER`.

FOLDER holds NORMAL/ and PNEUMONIA/. The models learn from the same patients and differ in what they see of an X-ray, in
the views that they learn from, and in their classifier; one patient in five is held out. Each has its own threshold,
chosen on patients that its fit had not seen. Shown are AUC and accuracy of every change, and how many labels it flips.
"""

import argparse
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from features.acquisition import Acquisition, other_acquisitions
from features.extract import describe
from features.lungs import Lungs
from features.reading.decode import decode
from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs.dataset.layout import patient_of
from ray_jobs.dataset.split import is_held_out
from ray_jobs.learning.changes import CHANGES
from ray_jobs.learning.fit import Fitted, fit
from ray_jobs.learning.recalibrate import log_odds_of
from ray_jobs.learning.search_space import FAMILIES, Candidate
from ray_jobs.learning.table import FeatureTable
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate

SEEN: Mapping[str, FeatureSpec] = {
    "frame": replace(DEFAULT_SPEC, lungs=None),
    "lungs": DEFAULT_SPEC,
    "lungs, margin 8 %": replace(DEFAULT_SPEC, lungs=Lungs(margin=0.08)),
}
PLAIN, JUDGED = "as it is", "other acquisition"
# The views that an X-ray may be learnt from: a mild one, as far as those of ADR 2 went, then those of
# `features.acquisition` in their order, of which every second one is processed.
MILD, STRONG, PROCESSED, AGAIN = "mild", "strong", "processed", "processed again"
_MILD = Acquisition(fitted=1, judged=0, zoom=0.1, aspect=0.08, rotation=5.0, shift=0.04, gamma=0.3, blur=1.0)
_FITTED = (STRONG, PROCESSED, "strong again", AGAIN)
_ALL = (MILD, STRONG, PROCESSED)


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a model sees, by names of SEEN, the views that it learns from, and its family; several seen are averaged."""

    seen: tuple[str, ...] = ("lungs",)
    learns: tuple[str, ...] = (STRONG, PROCESSED)
    family: str = "svm"


MODELS: Mapping[str, Model] = {
    "whole frame": Model(seen=("frame",)),
    "lungs, no views": Model(learns=()),
    "lungs, one view": Model(learns=(STRONG,)),
    "default": Model(),
    "whole frame, mild and strong": Model(seen=("frame",), learns=(MILD, STRONG)),
    "whole frame, all views": Model(seen=("frame",), learns=_ALL),
    "lungs, mild and strong": Model(learns=(MILD, STRONG)),
    "lungs, processed": Model(learns=(PROCESSED,)),
    "lungs, all views": Model(learns=_ALL),
    "lungs, strong and two processed": Model(learns=(STRONG, PROCESSED, AGAIN)),
    "lungs, margin 8 %": Model(seen=("lungs, margin 8 %",), learns=_ALL),
    "frame and lungs": Model(seen=("frame", "lungs"), learns=_ALL),
    "logistic regression": Model(learns=_ALL, family="logistic-regression"),
}
FIRST = tuple(MODELS)[:4]


def equalised(pixels: np.ndarray) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation, as consoles of detectors do."""
    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(pixels))


SHIFTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {**CHANGES, "CLAHE": equalised}
HELD_OUT = (PLAIN, JUDGED, STRONG, *SHIFTS)


def pictures_of(data: bytes, wanted: tuple[str, ...]) -> Iterator[np.ndarray]:
    """An X-ray as it is, in views that training and judging know, or after one of SHIFTS, as `wanted` names them."""
    pixels, seed = decode(data), hashlib.sha256(data).digest()
    *fitted, judged = other_acquisitions(pixels, seed, Acquisition(fitted=len(_FITTED)))
    known = {PLAIN: pixels, JUDGED: judged, **dict(zip(_FITTED, fitted, strict=True))}
    for name in wanted:
        if name == MILD:
            yield other_acquisitions(pixels, seed, _MILD)[0]
        else:
            yield known[name] if name in known else SHIFTS[name](pixels)


def rows_of(job: tuple[Path, str, tuple[str, ...]]) -> np.ndarray:
    """Features (wanted, D) of an X-ray."""
    path, seen, wanted = job
    cv2.setNumThreads(1)
    return np.stack([describe(picture, SEEN[seen]) for picture in pictures_of(path.read_bytes(), wanted)])


def labels_of(paths: list[Path]) -> np.ndarray:
    """0 or 1 a path, by its folder."""
    return np.array([int(path.parent.name == "PNEUMONIA") for path in paths])


def fitted_to(paths: list[Path], rows: Mapping[str, np.ndarray], model: Model) -> Fitted:
    """A model as a training fits it, to features (N, D) by the name of the view."""
    learns = [rows[name] for name in model.learns]
    table = FeatureTable(
        features=rows[PLAIN],
        views=np.stack(learns, axis=1) if learns else np.empty((len(paths), 0, rows[PLAIN].shape[1]), np.float32),
        judged=rows[JUDGED][:, None],
        sha256=np.array([path.name for path in paths]),
        labels=labels_of(paths),
        patients=np.array([patient_of(path.name) for path in paths]),
        roles=np.full(len(paths), "train"),
    )
    data = TrainingSet.of(table, seed=0)
    candidate = Candidate(family=model.family, parameters=FAMILIES[model.family].first)
    return fit(cross_validate(candidate, data.features, data.labels, data.folds, judged=data.judged), data)


def margins(fitted: Fitted, held_out: np.ndarray) -> np.ndarray:
    """How far log-odds lie above the threshold's, (N, changes), of features (N, changes, D)."""
    found = fitted.estimator.predict_proba(held_out.reshape(-1, held_out.shape[2]))[:, 1]
    return np.asarray((log_odds_of(found) - log_odds_of(np.array([fitted.threshold]))).reshape(held_out.shape[:2]))


def lines(found: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    """A line for each change of the held-out X-rays, by margins (N, changes)."""
    for index, name in enumerate(HELD_OUT):
        said = found[:, index] >= 0
        yield (
            f"  {'strong jitter' if name == STRONG else name:23} AUC {roc_auc_score(labels, found[:, index]):.4f}  "
            f"accuracy {np.mean(said == labels):.3f}  sensitivity {np.mean(said[labels == 1]):.3f}  "
            f"specificity {np.mean(~said[labels == 0]):.3f}  flipped {100 * np.mean(said != (found[:, 0] >= 0)):4.1f} %"
        )


def chosen(folder: Path, most: int) -> tuple[list[Path], list[Path]]:
    """Up to about `most` X-rays to learn from, and a quarter as many of held-out patients, evenly."""
    paths = sorted(path for path in folder.rglob("*") if path.parent.name in ("NORMAL", "PNEUMONIA"))
    sides = {side: [path for path in paths if is_held_out(patient_of(path.name)) == side] for side in (False, True)}
    return (
        sides[False][:: max(1, len(sides[False]) // most)],
        sides[True][:: max(1, 4 * len(sides[True]) // most)],
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shift", description="Models and shifts, a table.")
    parser.add_argument("--data", type=Path, required=True, help="folder with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(FIRST), metavar="NAME", help=_NAMES)
    parser.add_argument("--most", type=int, default=2000, help="X-rays to learn from, evenly chosen (default 2000)")
    options = parser.parse_args()
    train, held_out = chosen(options.data, options.most)
    print(f"{len(train)} X-rays to learn from, {len(held_out)} of other patients")
    models, labels = {name: MODELS[name] for name in options.models}, labels_of(held_out)
    found: dict[str, list[np.ndarray]] = {name: [] for name in models}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for seen in SEEN:
            mine = {name: model for name, model in models.items() if seen in model.seen}
            if not mine:
                continue
            learnt = (PLAIN, *dict.fromkeys(view for model in mine.values() for view in model.learns), JUDGED)
            rows, judged = (
                np.stack(list(pool.map(rows_of, [(path, seen, names) for path in paths], chunksize=16)))
                for paths, names in ((train, learnt), (held_out, HELD_OUT))
            )
            by_view = {name: rows[:, index] for index, name in enumerate(learnt)}
            fits = [pool.submit(fitted_to, train, by_view, model) for model in mine.values()]
            for name, fitted in zip(mine, fits, strict=True):
                found[name].append(margins(fitted.result(), judged))
                if len(found[name]) == len(models[name].seen):
                    print("\n".join([name, *lines(np.mean(found[name], axis=0), labels)]), flush=True)


_NAMES = f"which, of {', '.join(MODELS)} (default: the first {len(FIRST)})"

if __name__ == "__main__":
    main()
