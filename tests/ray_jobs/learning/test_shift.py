"""How far columns have moved, on cases computed by hand and on samples whose shift is known."""

import numpy as np
import pytest

from ray_jobs.learning.shift import BINS, DriftResult, agreement, compare, shift, stability_index


@pytest.mark.parametrize("today", [-1.0, 1.0])
def test_a_column_that_was_constant_and_moved_is_shifted_whichever_way(today: float) -> None:
    reference = np.zeros((200, 2), np.float32)
    moved = np.column_stack([np.full(100, today), np.zeros(100)]).astype(np.float32)
    index = stability_index(reference, moved)
    assert index[0] > 1
    assert index[1] == 0


def test_the_stability_index_is_the_sum_over_bins_of_what_moved_times_its_log_ratio() -> None:
    reference = np.repeat(np.arange(10.0), 100)[:, None]  # 100 in each of ten bins
    today = np.repeat(np.arange(10.0), [200, *[100] * 8, 0])[:, None]  # the last bin's went to the first
    total = 1000 + BINS / 2
    expected, first, last = 100.5 / total, 200.5 / total, 0.5 / total
    by_hand = (first - expected) * np.log(first / expected) + (last - expected) * np.log(last / expected)
    by_chance = 9 * (1 / 1000 + 1 / 1000)
    assert stability_index(reference, today)[0] == pytest.approx(by_hand - by_chance)
    assert stability_index(reference, reference)[0] == 0


def test_samples_of_one_distribution_are_not_called_shifted_and_moved_ones_are() -> None:
    random = np.random.default_rng(4)
    reference = random.normal(size=(1000, 300))
    today = random.normal(size=(200, 300))
    today[:, :30] += 1.0
    found = shift(reference, today)
    assert found.shifted[:30].all()
    assert not found.shifted[30:].any()
    assert found.psi[30:].mean() < 0.02


def test_small_samples_give_no_large_index_by_chance() -> None:
    random = np.random.default_rng(5)
    index = stability_index(random.normal(size=(1000, 500)), random.normal(size=(50, 500)))
    assert np.mean(index) < 0.1
    assert np.mean(index >= 0.25) < 0.05


def test_columns_that_never_vary_are_no_shift() -> None:
    found = shift(np.zeros((100, 2)), np.zeros((60, 2)))
    assert not found.shifted.any()
    assert np.isfinite(found.psi).all()


def test_drift_is_many_features_or_the_scores() -> None:
    random = np.random.default_rng(6)
    reference, today = random.normal(size=(500, 100)), random.normal(size=(100, 100))
    scores, scores_today = random.uniform(size=500), random.uniform(size=100)

    def judged(features: np.ndarray, said: np.ndarray) -> DriftResult:
        return compare(reference, features, scores, said, threshold=0.5)

    assert not judged(today, scores_today).drift
    few = today.copy()
    few[:, :4] += 3
    assert judged(few, scores_today).share == 0.04
    few[:, 4] += 3
    assert judged(few, scores_today).share == 0.05
    assert judged(few, scores_today).drift
    assert judged(today, scores_today**4).drift


def test_a_little_of_everything_is_seen_by_a_classifier_where_no_feature_has_shifted() -> None:
    random = np.random.default_rng(8)
    reference, today = random.normal(size=(800, 400)), random.normal(size=(100, 400)) + 0.15
    scores, said = random.uniform(size=800), random.uniform(size=100)
    found = compare(reference, today, scores, said, threshold=0.5)
    assert found.share < 0.01
    assert found.separation.shifted
    assert found.drift


def test_another_share_of_ill_children_shifts_features_over_all_and_none_within_the_classes() -> None:
    random = np.random.default_rng(9)
    ill, ill_today = np.arange(800) % 2 == 0, np.arange(100) % 10 == 0
    reference, today = random.normal(size=(800, 50)), random.normal(size=(100, 50))
    reference[ill] += 2.5
    today[ill_today] += 2.5
    found = compare(reference, today, ill.astype(float), ill_today.astype(float), threshold=0.5)
    assert found.share > 0.9
    assert found.share_within == 0.0
    assert not found.separation.shifted


def test_lungs_that_are_wider_to_their_height_are_drift_within_the_classes_and_nothing_without_enough_of_them() -> None:
    random = np.random.default_rng(12)
    reference, today = random.normal(size=(300, 5)), random.normal(size=(100, 5))
    scores, said = (np.arange(300) % 2).astype(float), (np.arange(100) % 10 == 0).astype(float)
    # The healthy ones are wider, and today more are healthy.
    aspects, now = (np.exp(random.normal(0.2 * (1 - ill), 0.1)) for ill in (scores, said))

    def stretched(wide: np.ndarray, known: int = 300) -> DriftResult:
        before = np.where(np.arange(300) < known, aspects, np.nan)
        return compare(reference, today, scores, said, threshold=0.5, aspects=(before, wide))

    same, found = stretched(now), stretched(1.2 * now)
    assert same.stretch
    assert found.stretch
    assert (same.stretch.shifted, found.stretch.shifted) == (False, True)
    assert found.stretch.factor == pytest.approx(1.2, abs=0.04)  # the mean of 100 whose deviation is 0.1
    assert found.drift
    assert stretched(1.2 * now, known=49).stretch is None
    assert stretched(np.where(np.arange(100) < 49, now, np.nan)).stretch is None


def test_a_class_that_the_reference_lacks_is_compared_with_the_other_one() -> None:
    random = np.random.default_rng(10)
    reference, today = random.normal(size=(200, 5)), random.normal(size=(60, 5))
    found = compare(reference, today, np.zeros(200), np.linspace(0, 1, 60), threshold=0.5)
    assert np.isfinite(found.separation.auc)


@pytest.mark.long
def test_of_two_hundred_draws_without_a_shift_at_most_one_in_twenty_is_called_drift() -> None:
    random = np.random.default_rng(11)
    mixing = random.normal(size=(12, 40))  # features that are much alike, as those of pictures are
    pool = random.normal(size=(1000, 12)) @ mixing + random.normal(size=(1000, 40))
    scores = 1 / (1 + np.exp(-pool[:, 0]))
    called = 0
    for _ in range(200):
        order = random.permutation(1000)
        today, before = order[:100], order[100:]
        called += compare(pool[before], pool[today], scores[before], scores[today], threshold=0.5).drift
    assert called <= 10


def test_agreement_has_wilsons_interval() -> None:
    share, low, high = agreement(9, 10)
    assert share == 0.9
    # Four decimals, as tables have them.
    assert (low, high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))
