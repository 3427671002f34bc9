"""Sweep: cross-validate candidates in parallel on Ray, each trial a nested run in MLflow.

As a job, `python -m ray_jobs.sweep` prints the ranking; `ray_jobs.train` continues from it to a version.
"""

import argparse
import hashlib
import json

from features.spec import DEFAULT_SPEC
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.fits import Fits
from ray_jobs.learning.search_space import Candidate, candidates
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import Trial
from ray_jobs.runtime.cli import positive, run_job, seed
from ray_jobs.runtime.cluster import sole_owner
from ray_jobs.runtime.progress import Progress
from ray_jobs.tracking.runs import ParentRun, parent_run
from registry.model.bundle import FORMAT
from registry.settings import Settings
from registry.state import State

TRIALS = 12
FINALISTS = 3


def training_key(prepared: Prepared, *, kind: str, trials: int, seed: int) -> str:
    """What makes two trainings the same: data, features, search. An interrupted one is found again by it."""
    settings, manifest = prepared.settings, prepared.manifest
    what = [kind, settings.model_name, manifest.digest, DEFAULT_SPEC.fingerprint, FORMAT, trials, seed]
    if sum(manifest.pictures.get("train", {}).values()) > settings.training_sample:
        what.append(settings.training_sample)
    text = json.dumps(what)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def rounds(candidates: int, folds: int) -> list[tuple[int, int]]:
    """(how many candidates, on how many folds) of each round: after each the worse half is given up, down to three.

    Successive halving (Jamieson and Talwalkar, 2016, "Non-stochastic best arm identification", AISTATS).

    >>> rounds(12, 5)
    [(12, 1), (6, 2), (3, 5)]
    >>> rounds(2, 5)
    [(2, 5)]
    """
    found, folds_tried = list[tuple[int, int]](), 1
    while candidates > FINALISTS and folds_tried < folds:
        found.append((candidates, folds_tried))
        candidates, folds_tried = max(FINALISTS, -(-candidates // 2)), folds_tried + 1
    return [*found, (candidates, folds)]


def run_sweep(
    data: TrainingSet, tried: list[Candidate], *, state: State, run: ParentRun, ray_address: str | None
) -> list[Trial]:
    """Every candidate's trial, best first; folds that an interrupted run finished are read, not repeated.

    The matrix goes to the object store once and every worker of a node reads that one copy.
    """
    fits = Fits(data=data, state=state, folder=state.path("sweeps", run.run_id), ray_address=ray_address)
    plan = rounds(len(tried), len(data.folds))
    left, given_up = list(tried), list[Trial]()
    with Progress("sweep", unit="fit", total=_total(plan)) as progress:
        for count, folds in plan:
            if len(left) > count:
                ranked = rank([fits.trial(candidate) for candidate in left])
                left, given_up = [trial.candidate for trial in ranked[:count]], ranked[count:] + given_up
            for fit in fits.run(left, folds):
                progress.update(note=f"AUC of the last one {fit.auc:.4f}")
    trials = rank([fits.trial(candidate) for candidate in left]) + given_up
    for trial in trials:
        run.log_trial(trial)
    from ray_jobs.learning.plots import trials_figure, trials_table  # noqa: PLC0415 - brings matplotlib

    run.log_figures({"candidates.png": trials_figure(trials_table(trials))}, "sweep")
    return trials


def _total(plan: list[tuple[int, int]]) -> int:
    """How many fits rounds have."""
    before = [0, *(folds for _, folds in plan)]
    return sum(count * (folds - earlier) for (count, folds), earlier in zip(plan, before, strict=False))


def rank(trials: list[Trial]) -> list[Trial]:
    """Best first on views to judge by; of equals, the smaller key, so that the order of arrival decides nothing."""
    return sorted(trials, key=lambda trial: (-trial.auc, trial.candidate.key))


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that sweep and train share."""
    parser.add_argument("--trials", type=positive, default=TRIALS, help=f"candidates to try (default {TRIALS})")
    parser.add_argument("--seed", type=seed, default=0, help="seed of the folds and of drawn parameters (default 0)")


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.sweep",
        description="Rank candidates by cross-validation.",
        arguments=add_search_arguments,
    )


def _job(settings: Settings, options: argparse.Namespace) -> None:
    prepared = prepare(settings)
    key = training_key(prepared, kind="sweep", trials=options.trials, seed=options.seed)
    with sole_owner(key, settings), parent_run(settings, key=key, kind="sweep", tags=prepared.tags()) as run:
        data = TrainingSet.of(prepared.sides(seed=options.seed).train.read(), seed=options.seed)
        run.log_data(prepared.manifest)
        tried = candidates(options.trials, seed=options.seed)
        ranked = run_sweep(data, tried, state=prepared.state, run=run, ray_address=settings.ray_address)
    for place, trial in enumerate(ranked, 1):
        plain = sum(trial.plain_auc) / len(trial.plain_auc)
        print(
            f"{place:3d}. AUC shifted {trial.auc:.4f} ± {trial.spread:.4f}, plain {plain:.4f} on "
            f"{len(trial.fold_auc)} folds  {trial.seconds:6.1f} s  "
            f"{trial.candidate}"
        )
    print(f"run {run.run_id}")


if __name__ == "__main__":
    main()
