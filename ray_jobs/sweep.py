"""Sweep: cross-validate candidates in parallel on Ray, each trial a nested run in MLflow.

As a job, `python -m ray_jobs.sweep` prints the ranking; `ray_jobs.train` continues from it to a version.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator

import ray

from features.spec import DEFAULT_SPEC
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.learning.search_space import Candidate, candidates
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import Trial, cross_validate, trial_from_json, trial_to_json
from ray_jobs.runtime.cli import positive, run_job, seed
from ray_jobs.runtime.cluster import connect, sole_owner
from ray_jobs.runtime.patience import wait
from ray_jobs.runtime.progress import Progress
from ray_jobs.tracking.runs import ParentRun, parent_run
from registry.bundle import FORMAT
from registry.settings import Settings
from registry.state import State

TRIALS = 12


def training_key(prepared: Prepared, *, kind: str, trials: int, seed: int) -> str:
    """What makes two trainings the same: data, features, search. An interrupted one is found again by it."""
    text = json.dumps(
        [kind, prepared.settings.model_name, prepared.manifest.digest, DEFAULT_SPEC.fingerprint, FORMAT, trials, seed]
    )
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def run_sweep(
    data: TrainingSet, tried: list[Candidate], *, state: State, run: ParentRun, ray_address: str | None
) -> list[Trial]:
    """Every candidate's trial, best first; those that an interrupted run finished are read, not repeated.

    The matrix goes to the object store once and every worker of a node reads that one copy.
    """
    trials, waiting = [], []
    for candidate in tried:
        path = state.path("sweeps", run.run_id, f"{candidate.key}.json")
        if state.exists(path):
            trials.append(trial_from_json(json.loads(state.read(path))))
        else:
            waiting.append((candidate, path))
    with Progress("sweep", unit="trial", total=len(tried), done=len(trials)) as progress:
        for trial in trials:
            run.log_trial(trial)
        for trial in _on_workers(data, waiting, state, ray_address):
            run.log_trial(trial)
            trials.append(trial)
            progress.update(note=f"best AUC {max(trial.auc for trial in trials):.4f}")
    return rank(trials)


def rank(trials: list[Trial]) -> list[Trial]:
    """Best first on views to judge by; of equals, the smaller key, so that the order of arrival decides nothing."""
    return sorted(trials, key=lambda trial: (-trial.auc, trial.candidate.key))


def _on_workers(
    data: TrainingSet, waiting: list[tuple[Candidate, str]], state: State, ray_address: str | None
) -> Iterator[Trial]:
    """Run trials on the cluster and yield each as it ends."""
    if not waiting:
        return
    connect(ray_address)
    shared = ray.put(data)
    running = [_trial.remote(candidate, shared, state, path) for candidate, path in waiting]
    while running:
        finished, running = wait(running, "sweep")
        yield from ray.get(finished)


@ray.remote(max_retries=3)
def _trial(candidate: Candidate, data: TrainingSet, state: State, path: str) -> Trial:
    trial = cross_validate(candidate, data.features, data.labels, data.folds, judged=data.judged, plain=data.plain)
    state.write(path, json.dumps(trial_to_json(trial)).encode())
    return trial


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
        data = TrainingSet.of(prepared.sides().train, seed=options.seed)
        run.log_data(prepared.manifest)
        tried = candidates(options.trials, seed=options.seed)
        ranked = run_sweep(data, tried, state=prepared.state, run=run, ray_address=settings.ray_address)
    for place, trial in enumerate(ranked, 1):
        plain = sum(trial.plain_auc) / len(trial.plain_auc)
        print(
            f"{place:3d}. AUC shifted {trial.auc:.4f} ± {trial.spread:.4f}, plain {plain:.4f}  {trial.seconds:6.1f} s  "
            f"{trial.candidate}"
        )
    print(f"run {run.run_id}")


if __name__ == "__main__":
    main()
