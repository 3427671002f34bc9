"""Parts of a dataset, and the threshold that it would want."""

import numpy as np
import pytest

from ray_jobs.learning.evaluate import evaluate
from ray_jobs.learning.slices import advise, causes, slices, thirds


def test_numbers_are_cut_into_thirds_whose_names_tell_the_edges_and_none_is_lost():
    values = np.arange(90) / 10
    parts = thirds(values, 1)
    assert list(parts) == ["below 3.0", "from 3.0 to 5.9", "from 5.9"]
    assert np.sum(list(parts.values()), axis=0).tolist() == [1] * 90
    assert [int(mask.sum()) for mask in parts.values()] == [30, 29, 31]


def test_numbers_that_are_all_alike_are_not_cut():
    assert thirds(np.full(50, 224.0), 0) == {}


def test_a_cause_is_read_from_names_and_stands_beside_all_that_are_normal():
    names = np.array(["person1_bacteria_1.jpeg", "person2_VIRUS_2.jpeg", "IM-1-1.jpeg", "person3.jpeg"])
    parts = causes(names, np.array([1, 1, 0, 1]))
    assert {cause: mask.tolist() for cause, mask in parts.items()} == {
        "bacterial": [True, False, True, False],
        "viral": [False, True, True, False],
    }
    assert causes(np.array(["1.png", "2.png"]), np.array([0, 1])) == {}


def test_a_part_has_the_numbers_of_its_own_rows_and_none_where_it_is_too_small():
    random = np.random.default_rng(0)
    labels, patients = np.tile([0, 1], 50), np.arange(100).astype(str)
    probabilities = np.where(np.arange(100) < 60, 0.1 + 0.8 * labels, random.random(100))
    parts = {"site": {"good": np.arange(100) < 60, "bad": np.arange(100) >= 60, "none": np.zeros(100, bool)}}
    parts["age"] = {"few": np.arange(100) < 12}
    found = list(slices(labels, probabilities, patients, parts, threshold=0.5))
    assert [(part.property, part.value) for part in found] == [("site", "good"), ("site", "bad"), ("age", "few")]
    good, bad, few = found
    assert good.evaluation.auc.value == 1.0
    rest = parts["site"]["bad"]
    assert (
        bad.evaluation.auc.value == evaluate(labels[rest], probabilities[rest], patients[rest], threshold=0.5).auc.value
    )
    assert (few.normal, few.pneumonia, few.evaluation) == (6, 6, None)


@pytest.mark.parametrize("moved", [0.0, 0.25])
def test_the_advised_threshold_follows_the_data_and_its_interval_holds_it(moved):
    random = np.random.default_rng(1)
    labels = np.tile([0, 1], 150)
    probabilities = np.clip(0.3 + 0.2 * labels + moved + random.normal(0, 0.05, 300), 0, 1)
    advice = advise(labels, probabilities, np.arange(300).astype(str))
    # The classes lie 0.2 apart with a deviation of 0.05 each, so that any threshold in this gap is as good.
    assert advice.threshold == pytest.approx(0.4 + moved, abs=0.05)
    assert advice.low <= advice.threshold <= advice.high
    assert advice.evaluation.threshold == advice.threshold
    assert advice.evaluation.accuracy.value > 0.95
