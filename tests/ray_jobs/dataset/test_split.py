"""No patient on two sides, and no old patient ever moved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_jobs.dataset.errors import TooLittleData
from ray_jobs.dataset.split import folds, held_out, is_held_out, sides

PATIENTS = st.lists(st.text(max_size=12), max_size=40)


@st.composite
def cohorts(draw):
    """Labels and patients of at least five patients a class, some of whom have pictures of both."""
    classes = draw(st.lists(st.integers(0, 1), max_size=30)) + [0] * 5 + [1] * 5
    rows = [(label, f"p{index}") for index, label in enumerate(classes) for _ in range(draw(st.integers(1, 4)))]
    order = draw(st.permutations(range(len(rows))))
    return np.array([rows[i][0] for i in order]), np.array([rows[i][1] for i in order])


def test_these_patients_are_held_out_for_ever():
    # Pinned: another answer would let a champion be judged on patients whom it trained on.
    assert [f"person{n}" for n in range(1, 21) if is_held_out(f"person{n}")] == [
        "person12",
        "person15",
        "person17",
        "person19",
    ]


@given(PATIENTS, PATIENTS)
def test_new_patients_never_move_an_old_one(old, new):
    assert held_out([*old, *new])[: len(old)].tolist() == held_out(old).tolist()


@given(PATIENTS)
def test_all_pictures_of_a_patient_are_on_one_side(patients):
    found: dict[str, set[bool]] = {}
    for patient, side in zip(patients * 2, held_out(patients * 2), strict=True):
        found.setdefault(patient, set()).add(bool(side))
    assert all(len(side) == 1 for side in found.values())


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_fraction_only_adds_patients(patient, one, other):
    small, large = sorted((one, other))
    assert is_held_out(patient, large) or not is_held_out(patient, small)


def test_the_array_form_agrees_with_the_single_one():
    patients = [f"IM-{n:04}" for n in range(300)] + ["ünïcode", ""]
    assert held_out(patients).tolist() == [is_held_out(patient) for patient in patients]
    assert held_out([]).tolist() == []


def test_about_one_patient_in_five_is_held_out():
    assert 0.18 < held_out([f"person{n}" for n in range(5000)]).mean() < 0.22


@pytest.mark.parametrize(("fraction", "answer"), [(0.0, False), (1.0, True)])
def test_the_ends_hold_out_nobody_and_everybody(fraction, answer):
    assert set(held_out([f"p{n}" for n in range(50)], fraction).tolist()) == {answer}


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_that_is_none_is_refused_by_value(fraction):
    with pytest.raises(ValueError, match=f"{fraction} is not between 0 and 1"):
        is_held_out("person1", fraction)


def test_sides_keep_the_test_folder_apart_from_the_held_out():
    judge = next(f"person{n}" for n in range(100) if is_held_out(f"person{n}"))
    learner = next(f"person{n}" for n in range(100) if not is_held_out(f"person{n}"))
    found = sides(["train", "train", "test", "test"], [judge, learner, judge, "other"])
    assert found.tolist() == ["held-out", "train", "test", "test"]


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.integers(0, 2**31))
def test_folds_never_split_a_patient_and_always_hold_both_classes(cohort, seed):
    labels, patients = cohort
    found = folds(labels, patients, 5, seed=seed)
    assert sorted(np.concatenate([valid for _, valid in found]).tolist()) == list(range(len(labels)))
    for train, valid in found:
        assert not set(patients[train]) & set(patients[valid])
        assert set(labels[train]) == set(labels[valid]) == {0, 1}
        assert len(train) + len(valid) == len(labels)


def test_folds_are_the_same_for_the_same_seed():
    labels, patients = np.arange(60) % 2, np.array([f"p{n // 2 % 20}-{n % 2}" for n in range(60)])
    one, other = (folds(labels, patients, 5, seed=3) for _ in range(2))
    assert all(np.array_equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def test_fewer_patients_than_folds_are_refused_with_the_counts():
    labels = np.array([0] * 12 + [1] * 12)
    patients = np.array([f"n{n % 4}" for n in range(12)] + [f"p{n}" for n in range(12)])
    with pytest.raises(TooLittleData, match=r"5 folds need 5 patients of both classes.*'0': 4.*take fewer folds"):
        folds(labels, patients, 5)


def test_one_class_alone_cannot_be_folded():
    with pytest.raises(TooLittleData, match="both classes"):
        folds(np.zeros(20, int), np.array([f"p{n}" for n in range(20)]), 5)
