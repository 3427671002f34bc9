"""The sweep says the same however many workers it has."""

import numpy as np
import ray

from ray_jobs.dataset.split import folds
from ray_jobs.learning.search_space import candidates
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import Trial
from ray_jobs.sweep import run_sweep
from ray_jobs.tracking.runs import parent_run
from registry.settings import Settings
from registry.state import open_state

SEED, TRIALS = 3, 6  # enough that the worse half is given up after a fold


def xrays() -> TrainingSet:
    """Eighty rows of 400 numbers, ten of which lean a little to the label, so that no candidate is perfect."""
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 40)
    features = random.standard_normal((80, 400)).astype(np.float32)
    features[:, :10] += 0.5 * labels[:, None]
    split = folds(labels, np.arange(80).astype(str), 5, seed=SEED)
    return TrainingSet(features=features, labels=labels, folds=split, images=80, fitted=80)


def swept(settings: Settings, workers: int) -> list[Trial]:
    """A sweep of its own on a Ray of so many workers; nothing of another sweep is read."""
    mine = settings.model_copy(update={"state_uri": f"{settings.state_uri}-{workers}"})
    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        with parent_run(settings, key=f"{workers} workers", kind="sweep", tags={}) as run:
            tried, state = candidates(TRIALS, seed=SEED), open_state(mine.state_uri)
            return run_sweep(xrays(), tried, state=state, run=run, ray_address=None)
    finally:
        ray.shutdown()


def test_one_worker_and_eight_find_the_same_winner_by_the_same_scores(settings: Settings) -> None:
    alone, together = swept(settings, 1), swept(settings, 8)
    assert [trial.candidate for trial in alone] == [trial.candidate for trial in together]
    assert [len(trial.fold_auc) for trial in alone] == [5, 5, 5, 1, 1, 1]
    assert len({trial.auc for trial in alone}) > 1
    for one, other in zip(alone, together, strict=True):
        assert one.fold_auc == other.fold_auc
        np.testing.assert_array_equal(one.scores, other.scores)
