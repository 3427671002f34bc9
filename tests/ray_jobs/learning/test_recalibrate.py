"""Calibration and threshold of another place: on scores whose shift is known."""

import numpy as np
import pytest
from scipy.special import expit

from ray_jobs.learning.evaluate import best_threshold
from ray_jobs.learning.recalibrate import _splits, gain, log_odds_of, recalibrate, resample

SEPARATION, SHIFT = 4.0, 2.5  # in log-odds: how far the classes lie apart, how much higher another place's scores are


def site(count: int, seed: int, *, shift: float = SHIFT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, log-odds and patients of so many X-rays of each class; two X-rays a patient."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], count)
    log_odds = random.normal(0, 1.4, 2 * count) + SEPARATION * (labels - 0.5) + shift
    return labels, log_odds, np.arange(2 * count) // 2


def balanced(labels: np.ndarray, said: np.ndarray) -> float:
    return float(np.mean([(said[labels == kind] == kind).mean() for kind in (0, 1)]))


def test_log_odds_of_certain_answers_are_finite():
    assert np.isfinite(log_odds_of(np.array([0.0, 1.0]))).all()
    assert log_odds_of(np.array([0.5, 0.9])) == pytest.approx([0.0, np.log(9)])


def test_a_shift_of_all_scores_is_taken_back():
    labels, log_odds, _ = site(2000, 0)
    found = recalibrate(labels, log_odds)
    where = (np.log(found.threshold / (1 - found.threshold)) - found.intercept) / found.slope
    assert where == pytest.approx(SHIFT, abs=0.1)  # halfway between the classes, as both weigh the same
    assert found.probability(log_odds).mean() == pytest.approx(0.5, abs=0.01)


def test_the_threshold_does_not_follow_how_many_are_ill():
    labels, log_odds, _ = site(2000, 0)
    few = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:200]])
    found = recalibrate(labels[few], log_odds[few])
    where = (np.log(found.threshold / (1 - found.threshold)) - found.intercept) / found.slope
    assert where == pytest.approx(SHIFT, abs=0.2)  # by 200 ill ones, whose spread is 1.4
    # A sigmoid without a penalty keeps the share; the penalty is small.
    assert found.probability(log_odds[few]).mean() == pytest.approx(200 / 2200, abs=0.01)


def test_fifty_x_rays_a_class_win_four_fifths_of_what_the_best_threshold_could():
    labels, log_odds, _ = site(20_000, 1)
    probabilities = expit(log_odds)
    before = balanced(labels, probabilities >= 0.5)
    best = balanced(labels, probabilities >= best_threshold(labels, probabilities))
    won = []
    for seed in range(40):
        mine, scores, _ = site(50, 100 + seed)
        found = recalibrate(mine, scores)
        won.append(balanced(labels, found.probability(log_odds) >= found.threshold) - before)
    assert np.mean(won) >= 0.8 * (best - before)
    assert np.quantile(won, 0.1) >= 0.8 * (best - before)


def test_what_is_gained_is_shown_with_an_interval_by_patients_that_were_not_fitted():
    labels, log_odds, patients = site(50, 3)
    probabilities = expit(log_odds)
    found = gain(labels, probabilities, patients, resample(labels, log_odds, patients), threshold=0.5)
    assert found.gained
    assert found.accuracy.low > 0.0
    everyone, scores, _ = site(20_000, 1)
    moved = recalibrate(labels, log_odds)
    truth = balanced(everyone, moved.probability(scores) >= moved.threshold) - balanced(everyone, expit(scores) >= 0.5)
    assert found.accuracy.low <= truth <= found.accuracy.high


def test_where_nothing_has_shifted_nothing_is_gained():
    gained = []
    for seed in range(10):
        labels, log_odds, patients = site(50, 200 + seed, shift=0.0)
        # Calibrated: the log-odds of a class that lies so far from the other with such a spread.
        probabilities = expit(log_odds * SEPARATION / 1.4**2)
        unseen = resample(labels, log_odds_of(probabilities), patients)
        gained.append(gain(labels, probabilities, patients, unseen, threshold=0.5).gained)
    assert sum(gained) <= 2  # of 10: each end of a 95 % interval is beyond 0 once in 40 times, and there are two


def test_a_patient_is_never_on_both_sides_of_a_split():
    labels, _, _ = site(40, 5)
    patients = np.arange(len(labels)) // 4
    splits = list(_splits(labels, patients, seed=0))
    assert len(splits) == 100
    assert not any(set(patients[train]) & set(patients[valid]) for train, valid in splits)
