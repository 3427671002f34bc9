"""Numbers and intervals, by hand."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from ray_jobs.learning.evaluate import (
    METRICS,
    best_threshold,
    calibration_error,
    description,
    evaluate,
    share,
    weighted_auc,
)

LABELS = np.array([0, 0, 0, 1, 1, 1])
PROBABILITIES = np.array([0.1, 0.2, 0.7, 0.6, 0.8, 0.9])
OWN_PATIENTS = np.arange(6)


def test_the_numbers_are_those_computed_by_hand():
    found = evaluate(LABELS, PROBABILITIES, OWN_PATIENTS, threshold=0.65)
    assert found.auc.value == pytest.approx(8 / 9)  # of nine pairs only (0.7, 0.6) is the wrong way round
    assert found.accuracy.value == pytest.approx(4 / 6)
    assert found.sensitivity.value == pytest.approx(2 / 3)
    assert found.specificity.value == pytest.approx(2 / 3)
    assert found.brier.value == pytest.approx((0.01 + 0.04 + 0.49 + 0.16 + 0.04 + 0.01) / 6)
    assert (found.images, found.patients, found.pneumonia) == (6, 6, 3)


def test_the_numbers_of_a_weighting_are_scikit_learns_also_where_probabilities_are_equal():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    probabilities = np.round(random.random(200) * 0.7 + labels * 0.3, 2)  # of which many are equal
    auc = weighted_auc(labels, probabilities)
    for weights in (np.ones(200), random.integers(0, 4, 200).astype(float), (labels == 0) + random.random(200)):
        assert auc(weights) == pytest.approx(roc_auc_score(labels, probabilities, sample_weight=weights))
    with pytest.raises(ValueError, match="not finite"):
        weighted_auc(labels, np.where(labels == 1, np.nan, probabilities))
    plain = evaluate(labels, probabilities, np.arange(200), threshold=0.5)
    assert plain.brier.value == pytest.approx(brier_score_loss(labels, probabilities))


def test_the_calibration_error_is_the_mean_gap_between_share_and_probability_over_bins_of_equal_size():
    probabilities = np.repeat([0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95], 2)
    labels = np.array([0, 0] * 5 + [1, 1] * 5)
    gaps = [0.05, 0.15, 0.25, 0.35, 0.45, 0.45, 0.35, 0.25, 0.15, 0.05]
    assert calibration_error(labels, probabilities, np.ones(20)) == pytest.approx(np.mean(gaps))
    heavy = np.repeat([3.0, *[1.0] * 9], 2)
    assert calibration_error(labels, probabilities, heavy) == pytest.approx((sum(gaps) + 2 * gaps[0]) / 12)


def test_a_calibrated_model_has_an_interval_that_reaches_nought_and_a_boastful_one_has_not():
    random = np.random.default_rng(0)
    honest = random.uniform(0.02, 0.98, 600)
    labels = (random.random(600) < honest).astype(int)
    boastful = 1 / (1 + np.exp(-4 * np.log(honest / (1 - honest))))
    assert evaluate(labels, honest, np.arange(600), threshold=0.5).calibration_error.low < 0.02
    assert evaluate(labels, boastful, np.arange(600), threshold=0.5).calibration_error.low > 0.1


def test_a_probability_at_the_threshold_counts_as_pneumonia():
    assert evaluate(LABELS, PROBABILITIES, OWN_PATIENTS, threshold=0.6).sensitivity.value == 1.0


def test_every_interval_holds_its_value():
    found = evaluate(LABELS, PROBABILITIES, OWN_PATIENTS, threshold=0.65)
    for name in METRICS:
        estimate = getattr(found, name)
        assert estimate.low <= estimate.value <= estimate.high


def test_the_interval_is_wider_where_the_same_images_come_from_fewer_patients():
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(0, 2, 40), 10)
    probabilities = np.clip(labels * 0.3 + np.repeat(random.random(40), 10) * 0.7, 0, 1)
    clustered = evaluate(labels, probabilities, np.repeat(np.arange(40), 10), threshold=0.5).auc
    independent = evaluate(labels, probabilities, np.arange(400), threshold=0.5).auc
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_a_share_has_the_interval_of_that_many_patients():
    found = share(np.array([True] + [False] * 99), patients=10)
    assert found.value == 0.01
    assert found.low < 0.01 < found.high
    none = share(np.zeros(50, bool), patients=20)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20))  # the chance of none among 20 is 2.5 % there
    every = share(np.ones(50, bool), patients=20)
    assert (every.high, every.low) == (1.0, pytest.approx(0.025 ** (1 / 20)))


def test_a_rate_of_which_no_sample_has_another_has_the_interval_of_that_many_patients():
    labels, patients = np.repeat([0, 1], [30, 24]), np.append(np.arange(30), np.repeat(np.arange(100, 112), 2))
    found = evaluate(labels, np.where(labels == 1, 0.9, 0.1), patients, threshold=0.5)
    for rate, count in ((found.accuracy, 42), (found.sensitivity, 12), (found.specificity, 30)):
        assert (rate.value, rate.high) == (1.0, 1.0)
        assert rate.low == pytest.approx(0.025 ** (1 / count))
    wrong = evaluate(labels, np.where(labels == 1, 0.1, 0.2), patients, threshold=0.15)
    assert wrong.specificity.high == pytest.approx(1 - 0.025 ** (1 / 30))


def test_x_rays_of_one_class_cannot_be_evaluated():
    with pytest.raises(ValueError, match="All 3 X-rays are of one class"):
        evaluate(np.ones(3), np.full(3, 0.5), np.arange(3), threshold=0.5)


def test_the_flat_metrics_carry_the_ends_of_the_intervals():
    flat = evaluate(LABELS, PROBABILITIES, OWN_PATIENTS, threshold=0.65).metrics("held_out")
    assert flat["held_out_auc"] == pytest.approx(8 / 9)
    assert flat["held_out_auc_low"] <= flat["held_out_auc"] <= flat["held_out_auc_high"]


def test_the_best_threshold_lies_between_the_two_probabilities_that_it_separates():
    assert best_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.7, 0.9])) == pytest.approx(0.5)


def test_the_description_of_a_version_begins_with_what_says_most_of_x_rays_from_elsewhere():
    found = evaluate(LABELS, PROBABILITIES, OWN_PATIENTS, threshold=0.65)
    told = {"held_out": found, "held_out_shifted": found, "test": found}
    text = description(told, threshold=0.65, rule="chosen by lot")
    first, second, third, last = text.split("\n\n")
    assert first.startswith(f"{found.images} X-rays in test/")
    assert f"AUC {found.auc}, accuracy {found.accuracy}, sensitivity {found.sensitivity}" in first
    assert "of held-out patients: AUC" in second
    assert "another place" in third
    assert last == "Threshold 0.650, chosen by lot."
    assert description({"held_out": found}, threshold=0.65, rule="chosen by lot") == f"{second}\n\n{last}"
