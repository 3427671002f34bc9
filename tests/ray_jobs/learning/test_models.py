"""Candidates, trials and the final fit."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _sigmoid_calibration

from features.extract import extract_views
from features.spec import DEFAULT_SPEC
from ray_jobs.learning.evaluate import best_threshold
from ray_jobs.learning.fit import fit
from ray_jobs.learning.search_space import FAMILIES, Candidate, Choice, candidates
from ray_jobs.learning.table import FeatureTable
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate, fit_fold, fold_from_json, fold_to_json, trial_of
from registry.model.bundle import write_bundle


@pytest.fixture(scope="module")
def table(xrays) -> FeatureTable:
    images, labels = xrays
    vectors = np.stack([extract_views(image, DEFAULT_SPEC) for image in images])
    return FeatureTable(
        features=vectors[:, 0],
        views=vectors[:, 1 : 1 + DEFAULT_SPEC.rows.fitted],
        judged=vectors[:, 1 + DEFAULT_SPEC.rows.fitted :],
        sha256=np.array([f"{index:064x}" for index in range(len(images))]),
        labels=labels,
        patients=np.array([f"patient{index // 2}" for index in range(len(images))]),
        roles=np.full(len(images), "train"),
    )


@pytest.fixture(scope="module")
def data(table: FeatureTable) -> TrainingSet:
    return TrainingSet.of(table, seed=0)


@given(st.integers(1, 40), st.integers(0, 5))
def test_a_longer_list_of_candidates_begins_with_a_shorter_one(count, seed):
    longer = candidates(count + 7, seed=seed)
    assert candidates(count, seed=seed) == longer[:count]
    assert len({candidate.key for candidate in longer}) == count + 7


def test_every_family_is_tried_with_its_own_first_choice_first():
    first = candidates(len(FAMILIES), seed=3)
    assert [(c.family, dict(c.parameters)) for c in first] == [(n, dict(f.first)) for n, f in FAMILIES.items()]


@given(st.integers(0, 1000))
def test_drawn_parameters_stay_in_their_space(seed):
    for candidate in candidates(12, seed=seed)[len(FAMILIES) :]:
        for name, space in FAMILIES[candidate.family].space.items():
            value = candidate.parameters[name]
            inside = (
                value in space.options if isinstance(space, Choice) else space.low * 0.99 <= value <= space.high * 1.01
            )
            assert inside, (candidate, name)


def test_the_key_follows_from_family_and_parameters_alone():
    one = Candidate(family="svm", parameters={"C": 1.0, "gamma": 2.0})
    assert one.key == Candidate(family="svm", parameters={"gamma": 2.0, "C": 1.0}).key
    assert one.key != Candidate(family="svm", parameters={"gamma": 2.0, "C": 1.5}).key


def test_no_patient_stands_on_two_sides_of_a_fold_though_views_are_added(table, data):
    patients = np.tile(table.patients, DEFAULT_SPEC.rows.count)
    assert len(data.labels) == DEFAULT_SPEC.rows.count * len(table)
    for train, valid in data.folds:
        assert not set(patients[train]) & set(patients[valid])
        assert train.max() < data.fitted  # what is judged by is never fitted


def test_a_trial_gives_the_same_scores_again_and_survives_json(data):
    candidate = candidates(1, seed=0)[0]
    first = cross_validate(candidate, data.features, data.labels, data.folds)
    again = cross_validate(candidate, data.features, data.labels, data.folds)
    np.testing.assert_array_equal(first.scores, again.scores)
    found = [fit_fold(candidate, data.features, data.labels, data.folds, fold=fold) for fold in range(5)]
    read = trial_of(
        candidate, data.folds, [fold_from_json(json.loads(json.dumps(fold_to_json(each)))) for each in found]
    )
    np.testing.assert_array_equal(read.scores, first.scores)
    assert (read.candidate, read.fold_auc, read.auc) == (first.candidate, first.fold_auc, first.auc)


def test_a_trial_of_some_folds_has_no_scores_of_the_others(data):
    candidate = candidates(2, seed=0)[1]
    trial = trial_of(candidate, data.folds, [fit_fold(candidate, data.features, data.labels, data.folds, fold=3)])
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(trial.scores)), np.sort(data.folds[3][1]))
    assert np.isnan(trial.spread)


def test_the_sigmoid_is_that_of_unseen_patients_pictures_as_they_are(data):
    trial = cross_validate(candidates(1, seed=0)[0], data.features, data.labels, data.folds)
    fitted = fit(trial, data)
    scores, labels = trial.scores[: data.images], data.labels[: data.images]
    sigmoid = fitted.estimator.calibrated_classifiers_[0].calibrators[0]
    # Both minimise by steps that end when the next would be about this small.
    assert (sigmoid.a_, sigmoid.b_) == pytest.approx(_sigmoid_calibration(scores, labels), rel=1e-6)
    probabilities = sigmoid.predict(scores)
    rows = data.plain | data.judged
    balanced = best_threshold(data.labels[rows], sigmoid.predict(trial.scores[rows]))
    assert fitted.threshold <= balanced
    assert np.mean(probabilities[labels == 1] < fitted.threshold) <= 0.05
    missed_by_the_next = np.mean(probabilities[labels == 1] <= fitted.threshold)
    assert fitted.threshold == balanced or missed_by_the_next > 0.05
    # A sigmoid that is fitted to targets which are not quite 0 and 1 (Platt) has not quite the mean of the labels.
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=0.02)


def test_fewer_rows_than_components_leave_fewer_components(data):
    pipeline = Candidate(family="svm", parameters={"components": 256, "C": 1.0, "gamma": 1e-4}).build(30)
    rows = np.linspace(0, len(data.labels) - 1, 30).astype(int)
    pipeline.fit(data.features[rows], data.labels[rows])
    assert pipeline.named_steps["pca"].n_components_ == 29


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_stored_and_read_with_our_trusted_types(family, data, detector, xrays, tmp_path):
    candidate = Candidate(family=family, parameters=FAMILIES[family].first)
    fitted = fit(cross_validate(candidate, data.features, data.labels, data.folds), data)
    assert 0 < fitted.threshold < 1
    assert fitted.estimator.cv is None  # rows of the training table are not for the model to carry
    write_bundle(
        tmp_path / "bundle",
        estimator=fitted.estimator,
        spec=DEFAULT_SPEC,
        threshold=fitted.threshold,
        detector=detector,
        evaluation={},
        golden_images=xrays[0][:2],
    )
