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
from ray_jobs.learning.trial import FoldScores, Trial, fit_fold, fold_from_json, fold_to_json, trial_of
from ray_jobs.runtime.cli import positive, run_job, seed
from ray_jobs.runtime.cluster import connect, sole_owner
from ray_jobs.runtime.patience import wait
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task
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
    fits = _Fits(data=data, state=state, folder=state.path("sweeps", run.run_id), ray_address=ray_address)
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


class _Fits:
    """The fits of a sweep, each of a candidate on one fold, kept in the state as they end."""

    def __init__(self, *, data: TrainingSet, state: State, folder: str, ray_address: str | None) -> None:
        self._data, self._state, self._folder, self._ray_address = data, state, folder, ray_address
        self._shared: ray.ObjectRef | None = None
        self._done: dict[str, FoldScores] = {}

    def run(self, left: list[Candidate], folds: int) -> Iterator[FoldScores]:
        """Fit candidates on the first so many folds where they are not yet; yields each fit as it ends or is read."""
        running = []
        for candidate in left:
            for fold in range(folds):
                path = self._path(candidate, fold)
                if path in self._done:
                    continue
                if self._state.exists(path):
                    self._done[path] = fold_from_json(json.loads(self._state.read(path)))
                    yield self._done[path]
                else:
                    running.append(self._begun(candidate, fold))
        while running:
            finished, running = wait(running, "sweep")
            for path, fit in ray.get(finished):
                self._done[path] = fit
                yield fit

    def trial(self, candidate: Candidate) -> Trial:
        """What is known of a candidate by now."""
        paths = (self._path(candidate, fold) for fold in range(len(self._data.folds)))
        return trial_of(candidate, self._data.folds, [self._done[path] for path in paths if path in self._done])

    def _begun(self, candidate: Candidate, fold: int) -> ray.ObjectRef:
        if self._shared is None:
            connect(self._ray_address)
            self._shared = ray.put(self._data)
        return _fit.remote(candidate, self._shared, fold, self._state, self._path(candidate, fold))

    def _path(self, candidate: Candidate, fold: int) -> str:
        return f"{self._folder}/{candidate.key}-{fold}.json"


@task(span="fit a fold", max_retries=3)
def _fit(candidate: Candidate, data: TrainingSet, fold: int, state: State, path: str) -> tuple[str, FoldScores]:
    found = fit_fold(candidate, data.features, data.labels, data.folds, fold=fold, judged=data.judged, plain=data.plain)
    state.write(path, json.dumps(fold_to_json(found)).encode())
    return path, found


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
