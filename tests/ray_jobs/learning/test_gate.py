"""Who may replace whom."""

import numpy as np
import pytest

from ray_jobs.learning.evaluate import Evaluation, evaluate
from ray_jobs.learning.gate import AUC_FLOOR, SHIFTED_RATE_FLOOR, decide

LABELS = np.tile([0, 1], 150)
PATIENTS = np.arange(300)


def noise(seed: int) -> np.ndarray:
    """300 numbers from 0 to 1 that depend on nothing but the seed, so that every test sees the same in any order."""
    return np.random.default_rng(seed).random(300)


GOOD = LABELS * 0.6 + noise(7) * 0.4
SLIGHTLY_WORSE = np.where(PATIENTS == 0, 0.65, GOOD)
BAD = LABELS * 0.1 + noise(8) * 0.9
WORSE = np.where(noise(9) < 0.12, 1 - GOOD, GOOD)


def judged(candidate: np.ndarray, champion: tuple, shifted: Evaluation | None = None):
    evaluation = evaluate(LABELS, candidate, PATIENTS, threshold=0.5)
    return decide(
        evaluation, shifted=shifted, labels=LABELS, patients=PATIENTS, probabilities=candidate, champion=champion
    )


def test_the_first_version_is_promoted():
    decision = judged(GOOD, ("no version was in Production", None))
    assert decision.promote
    assert decision.reasons == ("no version was in Production",)


def test_missed_floors_only_warn_where_there_is_no_champion():
    decision = judged(BAD, ("no version was in Production", None))
    assert decision.promote
    assert any(reason.startswith("warning: held-out AUC 0.") for reason in decision.reasons)


def test_missed_floors_keep_a_candidate_back_even_if_it_is_better_than_the_champion():
    decision = judged(BAD, ("pneumonia version 1", noise(10)))
    assert not decision.promote
    assert f"below the floor of {AUC_FLOOR}" in str(decision)


def test_a_threshold_that_does_not_hold_under_shift_keeps_a_candidate_back():
    # Shifted, every probability lies higher, as those of another hospital's healthy children do.
    shifted = evaluate(LABELS, GOOD / 2 + 0.5, PATIENTS, threshold=0.51)
    assert shifted.auc.value == 1.0
    verdict = judged(GOOD, ("pneumonia version 1", GOOD), shifted)
    assert not verdict.promote
    assert f"specificity under shift {shifted.specificity.value:.3f} is below the floor of {SHIFTED_RATE_FLOOR}" in str(
        verdict
    )


@pytest.mark.parametrize("candidate", [GOOD, SLIGHTLY_WORSE], ids=["identical", "a hair worse"])
def test_a_candidate_that_is_not_inferior_is_promoted(candidate):
    assert judged(candidate, ("pneumonia version 1", GOOD)).promote


def test_a_clearly_worse_candidate_is_kept_back_with_the_numbers():
    decision = judged(WORSE, ("pneumonia version 1", GOOD))
    assert not decision.promote
    assert "against pneumonia version 1 on the same 300 held-out X-rays" in str(decision)
    assert "AUC -0." in str(decision)
