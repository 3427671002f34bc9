"""Numbers that must not depend on the process: `python -m tests.numbers OUT.npz` computes and keeps them."""

import sys
from pathlib import Path

import numpy as np

from features.extract import extract_views
from ray_jobs.dataset.sources import open_source
from ray_jobs.dataset.split import folds
from ray_jobs.learning.fit import fit
from ray_jobs.learning.out_of_distribution import fit_detector
from ray_jobs.learning.search_space import FAMILIES, Candidate
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate
from registry.estimator import probability

IMAGES = 60


def compute(pictures: list[bytes], labels: np.ndarray) -> dict[str, np.ndarray]:
    """Features of pictures, and what every family and the detector make of them."""
    vectors = np.stack([extract_views(picture) for picture in pictures])
    features, labels = np.concatenate([vectors[:, 0], vectors[:, 1]]), np.tile(labels, 2)
    patients = np.tile(np.arange(len(pictures)) // 2, 2)
    data = TrainingSet(features=features, labels=labels, folds=folds(labels, patients, 5, seed=0), images=len(pictures))
    found = {"features": features}
    for name, family in FAMILIES.items():
        trial = cross_validate(Candidate(family=name, parameters=family.first), features, labels, data.folds)
        fitted = fit(trial, data)
        found |= {
            f"{name}.scores": trial.scores,
            f"{name}.auc": np.array(trial.fold_auc),
            f"{name}.probability": probability(fitted.estimator, features),
            f"{name}.threshold": np.array(fitted.threshold),
        }
    detector = fit_detector(data)
    found["detector.distance"] = detector.distance(features)
    found["detector.limits"] = np.array([detector.doubtful, detector.refused])
    return found


def main(out: str) -> None:
    """Compute with the threads that the environment gives."""
    source = open_source(f"synthetic:{IMAGES}")
    paths = sorted(entry.path for entry in source.entries())
    labels = np.array([int("PNEUMONIA" in path) for path in paths])
    found = compute([source.read(path) for path in paths], labels)
    with Path(out).open("wb") as file:
        np.savez(file, **found)


if __name__ == "__main__":
    main(sys.argv[1])
