"""Our sweep beside scikit-learn's: `python -m benchmarks.sweep [--data URI] [--trials N]`.

The same candidates, folds and rows are searched in one run: by our sweep with and without giving up the worse half, by
the same fits on joblib's processes, and by scikit-learn's HalvingRandomSearchCV, which saves rows instead of folds.
Shown are seconds, ratios, and the AUC on all folds of the candidate that each would choose. Starting Ray and joblib's
processes is not counted, nor are features, which come from the cache.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from unittest import mock

import numpy as np
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  it makes the next import possible
from sklearn.model_selection import HalvingRandomSearchCV

import ray_jobs.sweep
from ray_jobs.feature_table.prepare import prepare
from ray_jobs.learning.search_space import Candidate, candidates
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import Trial, decision, fit_fold, smallest_fold, trial_of
from ray_jobs.runtime.cluster import connect, cpus
from registry.settings import load_settings
from registry.state import open_state

T = TypeVar("T")
EVERYTHING, HALVING = "ours, every fold", "ours, halving"
JOBLIB, SKLEARN = "joblib, every fold", "HalvingRandomSearchCV"


class _Unlogged:
    """In the place of a run: the peers log nothing either."""

    run_id = "benchmark"

    def log_trial(self, trial: Trial) -> None:
        pass

    def log_figures(self, figures: Mapping[str, Figure], folder: str) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched, by how many processes."""

    data: TrainingSet
    tried: list[Candidate]
    processes: int

    def ours(self) -> Candidate:
        """Our sweep as a training runs it; the best candidate."""
        with tempfile.TemporaryDirectory() as folder:
            state = open_state(folder)
            ranked = ray_jobs.sweep.run_sweep(self.data, self.tried, state=state, run=_Unlogged(), ray_address=None)  # type: ignore[arg-type]
        return ranked[0].candidate

    def ours_on_every_fold(self) -> Candidate:
        """Our sweep, in which no candidate is given up."""
        everything = [(len(self.tried), len(self.data.folds))]
        with mock.patch.object(ray_jobs.sweep, "rounds", return_value=everything):
            return self.ours()

    def joblib(self) -> list[Trial]:
        """The same fits, handed out by joblib; best first."""
        data, folds = self.data, range(len(self.data.folds))
        jobs = [
            delayed(fit_fold)(
                candidate, data.features, data.labels, data.folds, fold=fold, judged=data.judged, plain=data.plain
            )
            for candidate in self.tried
            for fold in folds
        ]
        found = Parallel(n_jobs=self.processes)(jobs)
        count = len(folds)
        trials = [
            trial_of(candidate, data.folds, found[index * count : (index + 1) * count])
            for index, candidate in enumerate(self.tried)
        ]
        return ray_jobs.sweep.rank(trials)

    def sklearn(self) -> Candidate:
        """scikit-learn's successive halving over the same candidates and folds; it scores all rows of a fold."""
        search = HalvingRandomSearchCV(
            OneOf(self.tried, smallest_fold(self.data.folds)),
            {"index": list(range(len(self.tried)))},
            n_candidates=len(self.tried),
            factor=2,
            cv=self.data.folds,
            scoring="roc_auc",
            refit=False,
            n_jobs=self.processes,
            random_state=0,
        )
        search.fit(self.data.features.astype(np.float64), self.data.labels)
        return self.tried[search.best_params_["index"]]


class OneOf(ClassifierMixin, BaseEstimator):
    """One of some candidates, chosen by its number, as scikit-learn's searches choose."""

    def __init__(self, tried: list[Candidate], rows: int, index: int = 0) -> None:
        self.tried, self.rows, self.index = tried, rows, index

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "OneOf":
        """Fit the candidate; fewer rows leave fewer principal components."""
        self.classes_ = np.unique(labels)
        self.pipeline_ = self.tried[self.index].build(min(self.rows, len(features))).fit(features, labels)
        return self

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        """How strongly it leans to pneumonia, (N,)."""
        return decision(self.pipeline_, features)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description="Sweeps beside each other.")
    parser.add_argument("--data", help="DATA_URI (default: the setting)")
    parser.add_argument("--trials", type=int, default=ray_jobs.sweep.TRIALS, help="candidates (default: a training's)")
    options = parser.parse_args()
    data = TrainingSet.of(prepare(load_settings(data_uri=options.data)).sides().train.read(), seed=0)
    connect(None)
    search = Search(data=data, tried=candidates(options.trials, seed=0), processes=cpus())
    Parallel(n_jobs=search.processes)([delayed(str)(1)] * search.processes)  # its processes start here
    joblib_s, trials = timed(search.joblib)
    auc = {trial.candidate.key: trial.auc for trial in trials}
    found = {
        JOBLIB: (joblib_s, trials[0].candidate),
        EVERYTHING: timed(search.ours_on_every_fold),
        HALVING: timed(search.ours),
        SKLEARN: timed(search.sklearn),
    }
    print(f"{data.images} X-rays, {len(data.labels)} rows, {len(search.tried)} candidates, {len(data.folds)} folds")
    for name, (seconds, best) in found.items():
        ratio = f"{seconds / joblib_s:5.2f} of joblib's"
        print(f"{name:22} {seconds:7.1f} s  {ratio}  AUC {auc[best.key]:.4f}  {best}")
    print(f"{HALVING} takes {found[HALVING][0] / found[SKLEARN][0]:.2f} of the time of {SKLEARN}")


if __name__ == "__main__":
    main()
