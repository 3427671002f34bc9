"""Samples: the one that models are fitted on, which a seed decides and which keeps shares, and a plain random one."""

import numpy as np
import pytest

from ray_jobs.dataset.split import folds
from ray_jobs.learning.learning_curve import PARTS, fit_part, learning_curve, parts_with_both_classes
from ray_jobs.learning.plots import curve_plot
from ray_jobs.learning.sample import Sample, choose, key_of, order_of_shards
from ray_jobs.learning.search_space import FAMILIES, Candidate
from ray_jobs.learning.training_set import FOLDS, TrainingSet
from ray_jobs.learning.trial import cross_validate

COUNT, SHARDS = 6_000, 256
LINEAR = Candidate(family="logistic-regression", parameters=FAMILIES["logistic-regression"].first)


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, patients of one to four X-rays each, and shards."""
    random = np.random.default_rng(0)
    patients = np.sort(random.integers(0, COUNT // 3, COUNT))
    labels = (np.isin(patients, np.arange(0, COUNT // 3, 4))).astype(int)
    return labels, patients, random.integers(0, SHARDS, COUNT)


def test_all_are_taken_where_they_are_no_more_than_allowed(drawn):
    labels, patients, shards = drawn
    assert choose(labels, patients, order_of_shards(SHARDS, seed=0)[shards], most=COUNT).all()


@pytest.mark.parametrize("most", [2, 200, 1_001, COUNT - 1])
def test_a_sample_has_its_size_and_each_class_its_share(drawn, most):
    labels, patients, shards = drawn
    chosen = choose(labels, patients, order_of_shards(SHARDS, seed=0)[shards], most=most)
    assert chosen.sum() == most
    assert abs(labels[chosen].sum() - most * labels.mean()) <= 1


def test_only_as_many_shards_are_read_as_hold_the_sample(drawn):
    labels, patients, shards = drawn
    chosen = choose(labels, patients, order_of_shards(SHARDS, seed=0)[shards], most=600)
    assert len(np.unique(shards[chosen])) < SHARDS / 6


def test_the_same_seed_chooses_the_same_and_another_one_others(drawn):
    labels, patients, shards = drawn
    first, again, other = (
        choose(labels, patients, order_of_shards(SHARDS, seed=seed)[shards], most=600) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first & other).sum() < 200


def test_a_small_sample_is_part_of_a_larger_one_up_to_the_shards_that_are_cut(drawn):
    labels, patients, shards = drawn
    turns = order_of_shards(SHARDS, seed=0)[shards]
    small, large = (choose(labels, patients, turns, most=most) for most in (600, 1_200))
    assert (small & ~large).sum() == 0


def test_of_the_shards_that_are_read_every_patient_stays_before_anybody_stays_twice():
    labels = np.array([0] * 6 + [1] * 2)
    patients = np.array([1, 1, 1, 2, 2, 3, 4, 5])
    chosen = choose(labels, patients, np.zeros(8, int), most=4)
    np.testing.assert_array_equal(patients[chosen], [1, 2, 3, 4])


def separable(images: int, *, shift: float) -> tuple[TrainingSet, np.ndarray]:
    """A training set without views, each X-ray of a patient of its own, and the patients."""
    random = np.random.default_rng(0)
    labels = np.arange(images) % 2
    features = random.standard_normal((images, 40)).astype(np.float32) + shift * labels[:, None]
    patients = np.array([f"person{number}" for number in range(images)])
    parts = folds(labels, patients, FOLDS)
    return TrainingSet(features=features, labels=labels, folds=parts, images=images, fitted=images), patients


@pytest.mark.parametrize(("shift", "helps"), [(0.1, True), (3.0, False)])
def test_a_learning_curve_says_whether_more_would_help(shift, helps):
    data, patients = separable(1_200, shift=shift)
    trial = cross_validate(LINEAR, data.features, data.labels, data.folds)
    found = {part: [fit_part(trial, data, patients, fold=fold, part=part) for fold in range(FOLDS)] for part in PARTS}
    curve = learning_curve(trial, data, found)
    assert curve.sizes == (120, 240, 480, 960)
    assert curve.auc[-1] == trial.auc
    assert curve.gain == pytest.approx(curve.auc[-1] - curve.auc[-2])
    assert curve.more_would_help == helps
    assert ("raise TRAINING_SAMPLE" in str(curve)) == helps
    assert len(curve_plot(curve).axes[0].lines[0].get_xdata()) == 4


@pytest.mark.parametrize(("first", "usable"), [(0, PARTS), (300, (0.5,)), (600, ())])
def test_a_part_in_which_nobody_has_a_rare_class_is_left_out_of_the_curve(first, usable):
    patients = np.array(sorted((f"person{number}" for number in range(1_000)), key=key_of))
    labels = np.zeros(1_000, int)
    labels[first : first + 20] = 1
    features = np.random.default_rng(0).standard_normal((1_000, 5)).astype(np.float32)
    data = TrainingSet(
        features=features, labels=labels, folds=folds(labels, patients, FOLDS), images=1_000, fitted=1_000
    )
    assert parts_with_both_classes(data, patients) == usable
    trial = cross_validate(LINEAR, features, labels, data.folds)
    for part in usable:
        assert len(fit_part(trial, data, patients, fold=0, part=part).scores) == len(data.folds[0][1])


def test_of_more_rows_than_are_compared_a_random_sample_is_kept_and_its_columns_stay_together() -> None:
    draws = []
    for _ in range(2):
        sample = Sample(100)
        for start in range(0, 1000, 50):
            sample.add(np.arange(start, start + 50), np.arange(start, start + 50) * 2)
        draws.append(sample.columns())
    numbers, doubled = draws[0]
    assert len(set(numbers)) == 100
    assert doubled.tolist() == (numbers * 2).tolist()
    assert 350 < numbers.mean() < 650
    assert draws[1][0].tolist() == numbers.tolist()
