"""The fits of a sweep on Ray, each of a candidate on one fold, kept in the state as they end.

A worker imports this module for its task, so it stays without MLflow, which would take it seconds.
"""

import json
from collections.abc import Iterator

import ray

from ray_jobs.learning.search_space import Candidate
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import FoldScores, Trial, fit_fold, fold_from_json, fold_to_json, trial_of
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.patience import wait
from ray_jobs.runtime.tasks import task
from registry.state import State


class Fits:
    """The fits of a sweep by candidate and fold; those that an interrupted run finished are read, not repeated."""

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
