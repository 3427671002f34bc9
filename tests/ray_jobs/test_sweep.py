"""The sweep on Ray: every candidate tried once, whatever is interrupted."""

import contextlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import ray

from ray_jobs.dataset.split import folds
from ray_jobs.learning.search_space import candidates
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate, fit_fold
from ray_jobs.sweep import rounds, run_sweep
from ray_jobs.tracking.runs import CANDIDATE_TAG, parent_run
from registry.model.versions import client
from registry.state import open_state


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """Eighty rows of 400 numbers, ten of which lean to the label."""
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 40)
    features = random.standard_normal((80, 400)).astype(np.float32)
    features[:, :10] += labels[:, None]
    patients = np.array([f"p{index // 2 * 2 + index % 2}" for index in range(80)])
    return TrainingSet(features=features, labels=labels, folds=folds(labels, patients, 5, seed=0), images=80, fitted=80)


def test_every_candidate_is_tried_once_and_ranked_as_in_one_process(settings, cluster, data):
    state, tried = open_state(settings.state_uri), candidates(2, seed=0)
    with parent_run(settings, key="k", kind="sweep", tags={}) as run:
        ranked = run_sweep(data, tried, state=state, run=run, ray_address=None)
    alone = {candidate.key: cross_validate(candidate, data.features, data.labels, data.folds) for candidate in tried}
    assert sorted(trial.candidate.key for trial in ranked) == sorted(alone)
    assert [trial.auc for trial in ranked] == sorted((trial.auc for trial in ranked), reverse=True)
    for trial in ranked:
        np.testing.assert_array_equal(trial.scores, alone[trial.candidate.key].scores)
    nested = client(settings).search_runs([run.experiment_id], f"tags.`mlflow.parentRunId` = '{run.run_id}'")
    assert sorted(found.data.tags[CANDIDATE_TAG] for found in nested) == sorted(alone)
    charts = {item.path for item in client(settings).list_artifacts(run.run_id, "sweep")}
    assert charts == {"sweep/candidates.png"}


def test_trials_of_an_interrupted_run_are_read_and_the_others_done(settings, cluster, data):
    state, tried = open_state(settings.state_uri), candidates(3, seed=0)
    with contextlib.suppress(KeyboardInterrupt), parent_run(settings, key="k", kind="sweep", tags={}) as run:
        run_sweep(data, tried[:2], state=state, run=run, ray_address=None)
        raise KeyboardInterrupt
    marked = {}
    for path in Path(settings.state_uri, "sweeps", run.run_id).iterdir():
        marked[path.stem] = json.loads(path.read_text()) | {"seconds": 1000.0}
        path.write_text(json.dumps(marked[path.stem]))
    with parent_run(settings, key="k", kind="sweep", tags={}) as again:
        ranked = run_sweep(data, tried, state=state, run=again, ray_address=None)
    assert {trial.candidate.key for trial in ranked if trial.seconds == 5000.0} == {key[:12] for key in marked}
    assert len(marked) == 2 * 5  # a file for each fold of each candidate
    assert len(ranked) == 3
    nested = client(settings).search_runs([run.experiment_id], f"tags.`mlflow.parentRunId` = '{run.run_id}'")
    assert len(nested) == 3


def test_a_sweep_whose_trials_all_stand_there_starts_nothing(settings, cluster, data, monkeypatch):
    state, tried = open_state(settings.state_uri), candidates(2, seed=0)
    with parent_run(settings, key="k", kind="sweep", tags={}) as run:
        first = run_sweep(data, tried, state=state, run=run, ray_address=None)
        monkeypatch.setattr("ray_jobs.fits.connect", lambda _: pytest.fail("Ray was asked for"))
        second = run_sweep(data, tried, state=state, run=run, ray_address=None)
    assert [(trial.candidate, trial.auc) for trial in second] == [(trial.candidate, trial.auc) for trial in first]


class DiesOnce:
    """Labels whose first reader on a worker is killed, as by a machine that runs out of memory."""

    def __init__(self, labels: np.ndarray, mark: Path, driver: int):
        self.labels, self.mark, self.driver = labels, mark, driver

    def __reduce__(self):
        return _arrive, (self.labels, self.mark, self.driver)


def _arrive(labels: np.ndarray, mark: Path, driver: int) -> np.ndarray:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return labels
    assert os.getpid() != driver
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_killed_worker_s_trial_is_done_again(settings, cluster, data, tmp_path):
    dying = TrainingSet(
        features=data.features,
        labels=DiesOnce(data.labels, tmp_path / "died", os.getpid()),  # type: ignore[arg-type]
        folds=data.folds,
        images=data.images,
        fitted=data.fitted,
    )
    state, tried = open_state(settings.state_uri), candidates(2, seed=0)
    with parent_run(settings, key="k", kind="sweep", tags={}) as run:
        harmed = run_sweep(dying, tried, state=state, run=run, ray_address=None)
    with parent_run(settings, key="other", kind="sweep", tags={}) as run:
        whole = run_sweep(data, tried, state=state, run=run, ray_address=None)
    assert (tmp_path / "died").exists()
    assert [(trial.candidate, trial.auc) for trial in harmed] == [(trial.candidate, trial.auc) for trial in whole]


def test_a_trial_that_fails_stops_the_sweep_with_its_reason_and_no_file(settings, cluster, data):
    one_class = TrainingSet(features=data.features, labels=np.zeros(80), folds=data.folds, images=80, fitted=80)
    state, tried = open_state(settings.state_uri), candidates(1, seed=0)
    with (
        pytest.raises(ray.exceptions.RayTaskError, match="class"),
        parent_run(settings, key="k", kind="sweep", tags={}) as run,
    ):
        run_sweep(one_class, tried, state=state, run=run, ray_address=None)
    assert not state.exists(state.path("sweeps", run.run_id, f"{tried[0].key}-0.json"))


def test_of_many_candidates_the_worse_half_is_given_up_after_a_fold(settings, cluster, data):
    state, tried = open_state(settings.state_uri), candidates(6, seed=0)
    with parent_run(settings, key="k", kind="sweep", tags={}) as run:
        ranked = run_sweep(data, tried, state=state, run=run, ray_address=None)
    assert [len(trial.fold_auc) for trial in ranked] == [5, 5, 5, 1, 1, 1]
    assert not any(np.isnan(trial.scores).any() for trial in ranked[:3])
    first = {candidate.key: fit_fold(candidate, data.features, data.labels, data.folds, fold=0) for candidate in tried}
    assert min(first[trial.candidate.key].auc for trial in ranked[:3]) >= max(
        first[trial.candidate.key].auc for trial in ranked[3:]
    )
    nested = client(settings).search_runs([run.experiment_id], f"tags.`mlflow.parentRunId` = '{run.run_id}'")
    assert sorted(found.data.metrics["folds"] for found in nested) == [1, 1, 1, 5, 5, 5]


def test_the_fits_of_all_rounds_are_counted():
    assert rounds(12, 5) == [(12, 1), (6, 2), (3, 5)]
    assert rounds(3, 5) == [(3, 5)]
    assert rounds(100, 2) == [(100, 1), (50, 2)]
