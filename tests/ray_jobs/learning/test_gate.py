"""Who may replace whom."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ray_jobs.learning.evaluate import Estimate, Evaluation
from ray_jobs.learning.gate import (
    AUC_FLOOR,
    MOST_BYTES,
    MOST_SECONDS,
    Champion,
    Comparison,
    Footprint,
    GateDecision,
    decide,
)

LABELS = np.tile([0, 1], 150)
PATIENTS = np.arange(300)
SMALL = Footprint(size=1 << 20, seconds=0.05)


def noise(seed: int) -> np.ndarray:
    """300 numbers from 0 to 1 that depend on nothing but the seed, so that every test sees the same in any order."""
    return np.random.default_rng(seed).random(300)


GOOD = LABELS * 0.6 + noise(7) * 0.4
SLIGHTLY_WORSE = np.where(PATIENTS == 0, 0.65, GOOD)
WORSE = np.where(noise(9) < 0.12, 1 - GOOD, GOOD)


def around(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.03, high=value + 0.03)


SOUND = Evaluation(
    images=300,
    patients=300,
    pneumonia=150,
    threshold=0.5,
    auc=around(0.96),
    accuracy=around(0.92),
    sensitivity=around(0.95),
    specificity=around(0.90),
    brier=around(0.06),
    calibration_error=around(0.04),
)
BAD = replace(SOUND, auc=around(0.499))


def comparison(candidate: np.ndarray, champion: np.ndarray, **options: bool) -> Comparison:
    return Comparison(
        xrays="the same 300 held-out X-rays",
        labels=LABELS,
        patients=PATIENTS,
        candidate=candidate,
        champion=champion,
        **options,
    )


def judged(
    evaluation: Evaluation, *comparisons: Comparison, footprint: Footprint = SMALL, **options: object
) -> GateDecision:
    """The decision on a candidate; a champion without comparisons is one that cannot be asked."""
    champion = Champion(name="pneumonia version 1", comparisons=comparisons, **options)
    return decide({"held-out": evaluation}, footprint=footprint, champion=champion)


def test_the_first_version_is_promoted():
    decision = decide({"held-out": SOUND}, footprint=SMALL)
    assert decision.promote
    assert decision.reasons == ("no version was in Production",)


def test_missed_floors_only_warn_where_there_is_no_champion():
    decision = decide({"held-out": BAD}, footprint=SMALL)
    assert decision.promote
    assert decision.reasons == (
        "no version was in Production",
        "warning: held-out AUC 0.499 is below the floor of 0.9",
    )


def test_missed_floors_keep_a_candidate_back_even_if_it_is_better_than_the_champion():
    decision = judged(BAD, comparison(GOOD, WORSE))
    assert not decision.promote
    assert decision.reasons == ("held-out AUC 0.499 is below the floor of 0.9",)


@pytest.mark.parametrize("candidate", [GOOD, SLIGHTLY_WORSE], ids=["identical", "a hair worse"])
def test_a_candidate_that_is_not_inferior_is_promoted(candidate):
    assert judged(SOUND, comparison(candidate, GOOD)).promote


def test_a_clearly_worse_candidate_is_kept_back_with_the_numbers_for_people_and_programs():
    decision = judged(SOUND, comparison(WORSE, GOOD))
    assert not decision.promote
    assert "against pneumonia version 1 on the same 300 held-out X-rays" in str(decision)
    assert "AUC -0." in str(decision)
    told = json.loads(json.dumps(decision.as_json()))
    assert told["promote"] is False
    assert {check["name"]: check["passed"] for check in told["checks"]} == {
        "held-out AUC": True,
        "held-out sensitivity": True,
        "held-out specificity": True,
        "held-out calibration error": True,
        "size": True,
        "seconds an answer": True,
        "AUC less that of pneumonia version 1 on the same 300 held-out X-rays": False,
    }
    assert told["checks"][0]["value"] == 0.96
    assert told["checks"][0]["limit"] == AUC_FLOOR


@pytest.mark.parametrize(
    ("number", "value", "said"),
    [
        ("sensitivity", 0.849, "held-out sensitivity 0.849 is below the floor of 0.85"),
        ("specificity", 0.799, "held-out specificity 0.799 is below the floor of 0.8"),
        ("calibration_error", 0.131, "held-out calibration error 0.101 at best is above the ceiling of 0.1"),
    ],
)
def test_each_floor_keeps_a_candidate_back(number, value, said):
    decision = judged(replace(SOUND, **{number: around(value)}), recorded_auc=0.5)
    assert not decision.promote
    assert decision.reasons == (said,)


@pytest.mark.parametrize(
    ("number", "value", "said"),
    [
        ("auc", 0.74, "shifted AUC 0.770 at best is below the floor of 0.8"),
        ("sensitivity", 0.66, "shifted sensitivity 0.690 at best is below the floor of 0.7"),
        ("specificity", 0.61, "shifted specificity 0.640 at best is below the floor of 0.7"),
        ("calibration_error", 0.25, "shifted calibration error 0.220 at best is above the ceiling of 0.2"),
    ],
)
def test_a_model_that_does_not_hold_under_shift_is_kept_back(number, value, said):
    shifted = replace(SOUND, **{number: around(value)})
    champion = Champion(name="pneumonia version 1", recorded_auc=0.5)
    decision = decide({"held-out": SOUND, "shifted": shifted}, footprint=SMALL, champion=champion)
    assert not decision.promote
    assert decision.reasons == (said,)


def test_a_calibration_error_that_chance_may_have_made_keeps_nothing_back():
    assert judged(replace(SOUND, calibration_error=around(0.129)), recorded_auc=0.5).promote


@pytest.mark.parametrize(
    ("footprint", "said"),
    [
        (replace(SMALL, size=MOST_BYTES + (1 << 20)), "its files have 257.0 MiB of at most 256"),
        (replace(SMALL, seconds=MOST_SECONDS + 0.5), "its quickest answer takes 2.50 s of at most 2.0"),
    ],
    ids=["size", "time"],
)
def test_what_is_too_large_or_too_slow_to_serve_is_kept_back(footprint, said):
    decision = judged(SOUND, footprint=footprint, recorded_auc=0.5)
    assert not decision.promote
    assert decision.reasons == (said,)


def test_a_bad_candidate_does_not_replace_a_champion_that_cannot_be_asked():
    assert not judged(BAD).promote
    assert not judged(BAD, recorded_auc=0.4).promote


def test_a_champion_that_cannot_be_asked_is_compared_by_its_record():
    assert judged(SOUND, recorded_auc=0.969).promote
    decision = judged(SOUND, recorded_auc=0.971)
    assert not decision.promote
    assert str(decision) == "AUC -0.0110 against the 0.9710 on the record of pneumonia version 1 (-0.01 allowed)"


def test_without_any_record_the_worse_ends_of_the_intervals_must_reach_the_floors():
    assert judged(SOUND).promote
    uncertain = replace(SOUND, sensitivity=around(0.87))
    assert judged(uncertain, recorded_auc=0.96).promote
    decision = judged(uncertain)
    assert not decision.promote
    assert str(decision) == "held-out sensitivity 0.840 at worst is below the floor of 0.85"


def test_every_comparison_binds_but_those_that_are_only_told():
    decision = judged(SOUND, comparison(WORSE, GOOD, binding=False))
    assert decision.promote
    assert "for information: AUC -0." in str(decision)
    assert not judged(SOUND, comparison(GOOD, WORSE), comparison(WORSE, GOOD)).promote


def test_an_objection_holds_whatever_the_numbers_say():
    objections, notes = ("trained on generated pictures",), ("compared by halves",)
    decision = judged(SOUND, recorded_auc=0.5, objections=objections, notes=notes)
    assert not decision.promote
    assert decision.reasons == ("trained on generated pictures", "compared by halves")
