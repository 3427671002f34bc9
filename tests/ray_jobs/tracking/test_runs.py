"""What a training leaves in MLflow, and which runs are gone on with."""

import json
from dataclasses import replace

import numpy as np
import pytest

from features.spec import DEFAULT_SPEC
from ray_jobs.feature_table.prepare import prepare
from ray_jobs.learning.evaluate import evaluate
from ray_jobs.learning.plots import plots
from ray_jobs.learning.search_space import candidates
from ray_jobs.learning.trial import Trial
from ray_jobs.sweep import rank, training_key
from ray_jobs.tracking.runs import CANDIDATE_TAG, git_commit, parent_run
from ray_jobs.tracking.traffic import NotServedError
from registry.model.pages import page_of_project
from registry.model.store import StoreError
from registry.model.versions import client
from registry.settings import Settings


def trial_of(number: int = 0, *, auc: float = 0.9) -> Trial:
    candidate = candidates(number + 1, seed=0)[number]
    return Trial(
        candidate=candidate,
        scores=np.array([0.1, 0.9]),
        fold_auc=(auc - 0.02, auc + 0.02),
        plain_auc=(auc, auc),
        seconds=1.5,
    )


def runs_of(settings: Settings, *, parent: str | None = None):
    mlflow_client = client(settings)
    experiment = mlflow_client.get_experiment_by_name(settings.model_name)
    found = mlflow_client.search_runs([experiment.experiment_id])
    return [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent]


def test_every_run_says_where_it_came_from(settings, monkeypatch):
    monkeypatch.setenv("GIT_COMMIT", "c0ffee")
    prepared = prepare(settings)
    with parent_run(settings, key="k", kind="train", tags=prepared.tags()) as run:
        run.log_data(prepared.manifest)
        run.log_trial(trial_of())
    (parent,) = runs_of(settings)
    (nested,) = runs_of(settings, parent=run.run_id)
    for tags in (parent.data.tags, nested.data.tags):
        assert tags["dataset.uri"] == "synthetic:120"
        assert tags["dataset.digest"] == prepared.manifest.digest
        assert tags["spec_fingerprint"] == DEFAULT_SPEC.fingerprint
        assert tags["mlflow.source.git.commit"] == "c0ffee"
        assert {f"package.{name}" for name in ("ray", "mlflow", "scikit-learn", "skops", "numpy")} <= set(tags)
    assert nested.data.params == {"family": "svm", "components": "256", "C": "10.0", "gamma": "0.00025"}
    assert nested.data.metrics["auc"] == pytest.approx(0.9)
    assert (nested.data.metrics["fold_0_auc"], nested.data.metrics["fold_1_auc"]) == pytest.approx((0.88, 0.92))
    assert nested.data.metrics["auc_standard_error"] == pytest.approx(0.02)  # 0.02·√2 between two folds, over √2
    assert parent.inputs.dataset_inputs[0].dataset.source == "synthetic:120"


def test_a_commit_is_asked_of_git_where_no_image_says_it(monkeypatch):
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    assert git_commit() == "unknown" or len(git_commit()) == 40


def test_a_nested_run_is_logged_once(settings):
    with parent_run(settings, key="k", kind="train", tags={}) as run:
        for _ in range(2):
            run.log_trial(trial_of(0))
            run.log_trial(trial_of(1))
    nested = runs_of(settings, parent=run.run_id)
    assert len(nested) == 2
    assert len({found.data.tags[CANDIDATE_TAG] for found in nested}) == 2
    assert len(client(settings).get_metric_history(nested[0].info.run_id, "auc")) == 1


def test_a_nested_run_whose_logging_was_cut_short_is_completed_and_not_doubled(settings, monkeypatch):
    with parent_run(settings, key="k", kind="train", tags={}) as run:
        with monkeypatch.context() as patch:
            patch.setattr("ray_jobs.tracking.runs._log", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                run.log_trial(trial_of())
        run.log_trial(trial_of())
    (nested,) = runs_of(settings, parent=run.run_id)
    assert nested.info.status == "FINISHED"
    assert nested.data.metrics["auc"] == pytest.approx(0.9)


def test_an_interrupted_run_is_gone_on_with_and_a_finished_one_is_not(settings, capsys):
    with pytest.raises(KeyboardInterrupt), parent_run(settings, key="k", kind="train", tags={}) as first:
        raise KeyboardInterrupt
    assert [run.info.status for run in runs_of(settings)] == ["FAILED"]
    with parent_run(settings, key="k", kind="train", tags={}) as second:
        assert [run.info.status for run in runs_of(settings)] == ["RUNNING"]
    assert second.run_id == first.run_id
    assert f"continuing run {first.run_id}" in capsys.readouterr().err
    assert [run.info.status for run in runs_of(settings)] == ["FINISHED"]
    with parent_run(settings, key="k", kind="train", tags={}) as third:
        pass
    assert third.run_id != first.run_id


def test_a_run_whose_version_traffic_does_not_take_is_complete(settings):
    with pytest.raises(NotServedError), parent_run(settings, key="k", kind="train", tags={}):
        raise NotServedError("not every replica has it")
    assert [run.info.status for run in runs_of(settings)] == ["FINISHED"]


@pytest.mark.parametrize("other", [{"key": "other", "kind": "train"}, {"key": "k", "kind": "sweep"}])
def test_an_interrupted_run_of_other_work_is_left_alone(settings, other):
    with pytest.raises(KeyboardInterrupt), parent_run(settings, key="k", kind="train", tags={}) as first:
        raise KeyboardInterrupt
    with parent_run(settings, **other, tags={}) as second:
        assert second.run_id != first.run_id


def test_everything_of_a_run_can_be_logged_again(settings):
    prepared = prepare(settings)
    labels, probabilities = np.array([0, 0, 1, 1] * 3), np.linspace(0.1, 0.9, 12)
    figures = plots(labels, probabilities, evaluate(labels, probabilities, np.arange(12), threshold=0.5))
    with parent_run(settings, key="k", kind="train", tags={}) as run:
        for _ in range(2):
            run.log_data(prepared.manifest)
            run.log(params={"trials": 2}, metrics={"cv_auc": 0.9})
            run.log_figures(figures, "held_out")
    (logged,) = runs_of(settings)
    assert len(logged.inputs.dataset_inputs) == 1
    kept = {item.path for item in client(settings).list_artifacts(run.run_id, "held_out")}
    assert kept == {f"held_out/{name}" for name in figures}


def test_an_experiment_that_was_deleted_is_told_with_how_to_restore_it(settings):
    with parent_run(settings, key="k", kind="train", tags={}) as run:
        pass
    assert page_of_project("http://x", settings) == f"http://x/#/experiments/{run.experiment_id}/runs"
    client(settings).delete_experiment(run.experiment_id)
    assert page_of_project("http://x", settings) == "http://x/#/experiments"
    remedy = (
        rf"'pneumonia' has been deleted. Restore it: MLFLOW_TRACKING_URI='{settings.tracking_uri}' mlflow experiments "
    )
    with pytest.raises(
        StoreError, match=rf"{remedy}restore --experiment-id {run.experiment_id}; .*MODEL_NAME=pneumonia-2"
    ):
        parent_run(settings, key="k", kind="train", tags={}).__enter__()
    client(settings).restore_experiment(run.experiment_id)
    with parent_run(settings, key="k", kind="train", tags={}):
        pass


def test_a_run_that_was_deleted_is_not_gone_on_with(settings):
    with pytest.raises(ZeroDivisionError), parent_run(settings, key="k", kind="train", tags={}) as first:
        raise ZeroDivisionError
    client(settings).delete_run(first.run_id)
    with parent_run(settings, key="k", kind="train", tags={}) as second:
        assert second.run_id != first.run_id


def test_a_folder_is_named_in_mlflow_by_its_address(settings, tmp_path):
    prepared = prepare(settings)
    folder = tmp_path / "my x-rays#1"
    with parent_run(settings, key="k", kind="train", tags={}) as run:
        run.log_data(replace(prepared.manifest, uri=str(folder)))
    (logged,) = runs_of(settings)
    assert logged.inputs.dataset_inputs[0].dataset.source == folder.as_uri()


def test_the_address_of_a_database_may_be_relative(tmp_path, monkeypatch, empty_database):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    settings = Settings(mlflow_tracking_uri="sqlite:///mlflow.db", state_uri="state")
    with parent_run(settings, key="k", kind="train", tags={}):
        pass
    assert client(settings).get_experiment_by_name("pneumonia").artifact_location == (tmp_path / "artifacts").as_uri()


def test_trainings_are_the_same_only_where_data_search_and_seed_are(settings):
    small = prepare(settings)
    large = prepare(settings.model_copy(update={"data_uri": "synthetic:130"}))
    keys = [
        training_key(small, kind="train", trials=2, seed=0),
        training_key(small, kind="sweep", trials=2, seed=0),
        training_key(small, kind="train", trials=3, seed=0),
        training_key(small, kind="train", trials=2, seed=1),
        training_key(large, kind="train", trials=2, seed=0),
    ]
    assert len(set(keys)) == 5
    assert training_key(prepare(settings), kind="train", trials=2, seed=0) == keys[0]
    assert json.dumps(keys)  # text that a lock, a tag and an actor can be named by


def test_of_equal_trials_the_order_of_arrival_decides_nothing():
    trials = [trial_of(number, auc=auc) for number, auc in enumerate((0.8, 0.9, 0.9, 0.7))]
    ranked = rank(trials)
    assert ranked == rank(trials[::-1])
    assert [trial.auc for trial in ranked] == pytest.approx([0.9, 0.9, 0.8, 0.7])
