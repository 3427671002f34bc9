"""Fifty X-rays of each class, whose local contrast another console has changed, give the model its threshold back."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.special import expit

from features.extract import describe
from ray_jobs.dataset.layout import patient_of
from ray_jobs.learning.evaluate import best_threshold
from ray_jobs.learning.recalibrate import log_odds_of, recalibrate
from registry.model.bundle import Bundle
from tests.behaviour.conftest import labels_of, pixels_of

OF_A_CLASS, LABELLED, DRAWS = 200, 50, 100


@pytest.fixture(scope="module")
def unseen(real_xrays: Path, real_chosen: list[str]) -> list[Path]:
    """X-rays of as many patients, none of whom the model has seen, the healthy ones first."""
    known = {patient_of(Path(name).name) for name in real_chosen}
    chosen = []
    for label in ("NORMAL", "PNEUMONIA"):
        files = sorted((real_xrays / "chest-xray-224" / "train" / label).iterdir())
        others = list({patient_of(path.name): path for path in files if patient_of(path.name) not in known}.values())
        chosen += others[:: len(others) // OF_A_CLASS][:OF_A_CLASS]
    return chosen


def balanced(log_odds: np.ndarray, threshold: float, labels: np.ndarray) -> float:
    said = log_odds >= threshold
    return float(np.mean([(said[labels == kind] == kind).mean() for kind in (0, 1)]))


def test_four_fifths_are_won_back_of_what_the_best_threshold_could(real_model: Bundle, unseen: list[Path]) -> None:
    equalise = cv2.createCLAHE(2.0, (8, 8))
    changed = [equalise.apply(pixels_of(path.read_bytes())) for path in unseen]
    log_odds = log_odds_of(real_model.probability(np.stack([describe(pixels) for pixels in changed])))
    labels = labels_of([str(path) for path in unseen])
    old = float(log_odds_of(np.array([real_model.threshold]))[0])
    won, possible = list[float](), list[float]()
    for draw in range(DRAWS):
        random = np.random.default_rng(draw)
        mine = [random.choice(np.flatnonzero(labels == kind), LABELLED, replace=False) for kind in (0, 1)]
        given = np.concatenate(mine)
        # The best threshold is chosen on half of the others: on those that it is judged on, it would flatter itself.
        others = random.permutation(np.setdiff1d(np.arange(len(labels)), given))
        chosen_on, others = others[::2], others[1::2]
        found = recalibrate(labels[given], log_odds[given])
        new = (float(log_odds_of(np.array([found.threshold]))[0]) - found.intercept) / found.slope
        best = float(log_odds_of(np.array([best_threshold(labels[chosen_on], expit(log_odds[chosen_on]))]))[0])
        before, after, at_best = (balanced(log_odds[others], each, labels[others]) for each in (old, new, best))
        won.append(after - before)
        possible.append(at_best - before)
    assert np.mean(possible) >= 0.03  # the model has lost something, or there is nothing to win back
    assert np.mean(won) >= 0.8 * np.mean(possible)
