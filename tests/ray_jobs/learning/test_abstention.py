"""The band near the threshold, by hand-computed cases."""

import numpy as np
import pytest

from ray_jobs.learning.abstention import TURNS, Coverage, covered, unsure_band

THRESHOLD = 0.6


def test_where_no_view_turns_an_answer_nothing_is_unsure():
    plain = np.array([0.1, 0.59, 0.61, 0.9])
    assert unsure_band(plain, np.column_stack([plain, plain]), THRESHOLD) == (THRESHOLD, THRESHOLD)


def test_each_class_has_an_end_of_its_own():
    plain = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.7, 0.8, 0.9, 0.95])
    views = np.where(np.isin(plain, [0.65, 0.7]), 0.5, plain)[:, None]
    low, high = unsure_band(plain, views, THRESHOLD)
    assert low == THRESHOLD
    assert high == pytest.approx(0.75)  # half way between the last answer that turned and the next


def test_an_answer_that_turns_far_from_the_threshold_makes_none_of_its_neighbours_unsure():
    plain = np.concatenate([np.linspace(0.7, 0.99, 200), np.linspace(0.01, 0.5, 200)])
    views = plain.copy()
    views[[100, 0, 1]] = 0.1  # one far away, two that are nearest
    low, high = unsure_band(plain, views[:, None], THRESHOLD)
    assert low == THRESHOLD
    assert plain[1] < high < plain[2]


def test_the_band_ends_where_fewer_than_one_in_seven_answers_turn():
    plain = np.linspace(0.7, 0.9, 40)
    views = plain.copy()
    views[[0, 4, 8, 12, 21, 30]] = 0.1  # one in four of the nearer ones, then one in ten
    _, high = unsure_band(plain, views[:, None], THRESHOLD)
    assert plain[12] < high < plain[13]
    assert 1 / 10 < TURNS < 1 / 4


def test_a_model_whose_every_answer_turns_is_unsure_of_the_nearer_half():
    plain = np.linspace(0.61, 0.99, 10)
    _, high = unsure_band(plain, np.zeros((10, 1)), THRESHOLD)
    assert np.sum(plain >= high) == 5


def test_coverage_counts_the_lower_end_as_unsure_and_the_upper_as_sure():
    probabilities, labels = np.array([0.2, 0.5, 0.65, 0.7, 0.9]), np.array([1, 0, 0, 1, 1])
    assert covered(labels, probabilities, THRESHOLD, (0.5, 0.7)) == Coverage(coverage=0.6, accuracy=2 / 3)
    nothing = covered(labels, probabilities, THRESHOLD, (0.0, 1.0))
    assert nothing == Coverage(coverage=0.0, accuracy=None)
    assert nothing.metrics("test") == {"test_coverage": 0.0}
