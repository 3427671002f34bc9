"""Fitting a detector: its limits and rates by hand, and that no patient judges a fit that saw him."""

import numpy as np
import pytest

from ray_jobs.dataset.split import folds
from ray_jobs.learning.out_of_distribution import fit_detector, limits_of
from ray_jobs.learning.training_set import TrainingSet

RANDOM = np.random.default_rng(0)


def drawn(count: int, *, seed: int) -> np.ndarray:
    """Rows of forty features that go into six directions, with a little noise."""
    directions = np.random.default_rng(99).standard_normal((6, 40))
    random = np.random.default_rng(seed)
    return random.standard_normal((count, 6)) @ directions + 0.3 * random.standard_normal((count, 40))


def training(features: np.ndarray, views: int = 0) -> TrainingSet:
    count = len(features) // (1 + views)
    labels, patients = np.arange(count) % 2, np.arange(count) // 4
    labels, patients = np.tile(labels, 1 + views), np.tile(patients, 1 + views)
    return TrainingSet(
        features=features, labels=labels, folds=folds(labels, patients, 5), images=count, fitted=len(features)
    )


def test_limits_are_quantiles_and_never_closer_than_a_tail_of_few_would_put_them():
    logarithms = np.linspace(-1.0, 1.0, 1001)
    doubtful, refused = limits_of(np.exp(logarithms))
    assert np.log(doubtful) == pytest.approx(0.95)
    assert np.log(refused) == pytest.approx(3.5 * logarithms.std())  # 2.02, where the quantile would be 0.99
    heavy = np.concatenate([np.zeros(990), np.full(10, 5.0)])
    assert np.log(limits_of(np.exp(heavy))[1]) == pytest.approx(5.0)


def test_the_limits_hold_for_rows_that_no_fit_saw_and_other_rows_lie_beyond():
    detector = fit_detector(training(drawn(400, seed=1)))
    fresh = detector.distance(drawn(2000, seed=2))
    assert np.mean(fresh > detector.refused) < 0.01
    assert 0.005 < np.mean(fresh > detector.doubtful) < 0.06
    assert np.all(
        detector.distance(RANDOM.standard_normal((200, 40)) * drawn(400, seed=1).std(axis=0)) > detector.refused
    )


def test_limits_come_from_rows_left_out_not_from_rows_that_were_fitted():
    features = drawn(60, seed=3)
    detector = fit_detector(training(features))
    assert np.quantile(detector.distance(features), 0.975) < 0.95 * detector.doubtful


def test_views_are_part_of_what_is_usual_but_not_of_limits_nor_of_the_normal_picture():
    pictures, views = drawn(200, seed=4), drawn(200, seed=5) + 8 * np.eye(40)[:1]
    alone, both = fit_detector(training(pictures)), fit_detector(training(np.concatenate([pictures, views]), views=1))
    moved = drawn(200, seed=6) + 8 * np.eye(40)[:1]
    assert np.mean(both.distance(moved) > both.refused) < np.mean(alone.distance(moved) > alone.refused)
    np.testing.assert_allclose(both.normal, pictures[::2].mean(axis=0))
