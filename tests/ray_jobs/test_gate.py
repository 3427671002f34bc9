"""Who may replace whom."""

import numpy as np
import pytest

from ray_jobs.learning.evaluate import evaluate
from ray_jobs.learning.gate import AUC_FLOOR, decide

RANDOM = np.random.default_rng(7)
LABELS = np.tile([0, 1], 150)
PATIENTS = np.arange(300)
GOOD = np.clip(LABELS * 0.6 + RANDOM.random(300) * 0.4, 0, 1)
SLIGHTLY_WORSE = np.where(np.isin(PATIENTS, [0]), 0.65, GOOD)
BAD = np.clip(LABELS * 0.1 + RANDOM.random(300) * 0.9, 0, 1)


def judged(candidate: np.ndarray, champion: tuple):
    evaluation = evaluate(LABELS, candidate, PATIENTS, threshold=0.5)
    return decide(evaluation, labels=LABELS, patients=PATIENTS, probabilities=candidate, champion=champion)


def test_the_first_version_is_promoted():
    verdict = judged(GOOD, ("no version was in Production", None))
    assert verdict.promote
    assert verdict.reasons == ("no version was in Production",)


def test_missed_floors_only_warn_where_there_is_no_champion():
    verdict = judged(BAD, ("no version was in Production", None))
    assert verdict.promote
    assert any(reason.startswith("warning: held-out AUC 0.") for reason in verdict.reasons)


def test_missed_floors_keep_a_candidate_back_even_if_it_is_better_than_the_champion():
    verdict = judged(BAD, ("pneumonia version 1", RANDOM.random(300)))
    assert not verdict.promote
    assert f"below the floor of {AUC_FLOOR}" in str(verdict)


@pytest.mark.parametrize("candidate", [GOOD, SLIGHTLY_WORSE], ids=["identical", "a hair worse"])
def test_a_candidate_that_is_not_inferior_is_promoted(candidate):
    assert judged(candidate, ("pneumonia version 1", GOOD)).promote


def test_a_clearly_worse_candidate_is_kept_back_with_the_numbers():
    worse = np.where(RANDOM.random(300) < 0.12, 1 - GOOD, GOOD)
    verdict = judged(worse, ("pneumonia version 1", GOOD))
    assert not verdict.promote
    assert "against pneumonia version 1 on the same 300 held-out X-rays" in str(verdict)
    assert "AUC -0." in str(verdict)
