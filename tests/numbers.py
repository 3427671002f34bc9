"""Numbers that must not depend on the process: `python -m tests.numbers FOLDER [ANOTHER]` computes and keeps them.

With the folder that another process filled, its features are used as they are, and its model must be accepted here.
"""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.manifest import images_of
from ray_jobs.feature_table.cache import extract_shard
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.learning.evaluate import evaluate
from ray_jobs.learning.fit import fit
from ray_jobs.learning.out_of_distribution import detection_rates, fit_detector
from ray_jobs.learning.search_space import FAMILIES, Candidate, candidates
from ray_jobs.learning.table import Sides
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate
from ray_jobs.sweep import training_key
from ray_jobs.train import golden_images
from registry.model.bundle import digest_of, read_bundle, write_bundle
from registry.model.estimator import probability
from registry.settings import Settings
from serve.inference.explain import explain

IMAGES = 60


def compute(sides: Sides, folder: Path) -> dict[str, np.ndarray]:
    """What every family and the detector make of features, and what a stored model answers; its files in `folder`."""
    data, held_out = TrainingSet.of(sides.train, seed=0), sides.held_out
    detector, golden = fit_detector(data), golden_images()
    rates = detection_rates(detector, held_out).metrics("held_out")
    found = {
        "detector.distance": detector.distance(data.features),
        "detector.limits": np.array([detector.doubtful, detector.refused]),
        "detector.rates": np.array(list(rates.values())),
    }
    for name, family in FAMILIES.items():
        trial = cross_validate(Candidate(family=name, parameters=family.first), data.features, data.labels, data.folds)
        fitted = fit(trial, data)
        answers = probability(fitted.estimator, held_out.features)
        judged = evaluate(held_out.labels, answers, held_out.patients, threshold=fitted.threshold)
        write_bundle(
            folder / name,
            estimator=fitted.estimator,
            spec=DEFAULT_SPEC,
            threshold=fitted.threshold,
            detector=detector,
            evaluation={},
            golden_images=golden,
        )
        stored = read_bundle(folder / name, digest=digest_of(folder / name))
        found |= {
            f"{name}.scores": trial.scores,
            f"{name}.auc": np.array(trial.fold_auc),
            f"{name}.probability": answers,
            f"{name}.threshold": np.array(fitted.threshold),
            f"{name}.evaluation": np.array(list(judged.metrics("held_out").values())),
            f"{name}.answers": np.array([stored.score(image).probability for image in golden]),
            f"{name}.evidence": explain(stored, golden[0]).grid,
        }
    return found


def digests(prepared: Prepared, folder: Path) -> dict[str, str]:
    """The names under which work is found again, and the contents of the feature cache."""
    cache = {path.relative_to(folder).as_posix(): path for path in sorted((folder / "features").rglob("*.parquet"))}
    return {
        "spec": DEFAULT_SPEC.fingerprint,
        "manifest": prepared.manifest.digest,
        "training": training_key(prepared, kind="train", trials=10, seed=0),
        "candidates": " ".join(candidate.key for candidate in candidates(10, seed=0)),
        **{name: sha256(path.read_bytes()).hexdigest() for name, path in cache.items()},
    }


def main(out: str, another: str | None = None) -> None:
    """Compute with the kernel and the threads that the environment gives."""
    folder = Path(out)
    prepared = prepare(Settings(data_uri=f"synthetic:{IMAGES}", state_uri=str(folder), ray_address=None))
    for prefix, rows in prepared.manifest.shards():  # here, since Ray's workers would choose their own threads
        images = images_of(rows)
        extract_shard(prepared.source, prepared.state, DEFAULT_SPEC, prefix, images)
    sides = Sides.of(prepared.all_rows(DEFAULT_SPEC).read())
    found = compute(sides, folder / "models")
    np.savez(folder / "numbers.npz", **found)
    (folder / "digests.json").write_text(json.dumps(digests(prepared, folder)))
    if another is None:
        return
    for model in sorted(Path(another, "models").iterdir()):
        read_bundle(model, digest=digest_of(model))
    shutil.copytree(Path(another), folder / "another")
    taken = prepare(Settings(data_uri=f"synthetic:{IMAGES}", state_uri=str(folder / "another"), ray_address=None))
    done = taken.extract()
    assert (done.extracted, done.cached) == (0, taken.manifest.rows), str(done)


if __name__ == "__main__":
    main(*sys.argv[1:])
