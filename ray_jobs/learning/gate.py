"""Whether a candidate may replace the champion: pure arithmetic on what both say of the same held-out patients."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from ray_jobs.learning.evaluate import CONFIDENCE, Evaluation, patient_weights

AUC_FLOOR = 0.90
SENSITIVITY_FLOOR = 0.85
SHIFTED_AUC_FLOOR = 0.85
SHIFTED_RATE_FLOOR = 0.70  # of sensitivity and of specificity: a threshold that only holds at home misses one of them
MARGIN = 0.01


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """Whether to promote, and every reason for it in words."""

    promote: bool
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def decide(
    candidate: Evaluation,
    *,
    shifted: Evaluation | None,
    labels: np.ndarray,
    patients: np.ndarray,
    probabilities: np.ndarray,
    champion: tuple[str, np.ndarray | None],
) -> GateDecision:
    """Compare a candidate with the champion on the same X-rays, all arrays of shape (N,).

    `shifted` is the candidate on the same patients as another place might have taken them, if that is known.
    `champion` is its name and its probabilities, or the reason why there are none. A candidate passes if it reaches the
    floors and is not inferior: the lower end of the 95 % interval of its AUC minus the champion's, bootstrapped over
    patients, is above -0.01. Without a champion it passes, and missed floors warn: an answer with a warning serves
    better than no answer.
    """
    missed = _missed_floors(candidate, shifted)
    name, theirs = champion
    if theirs is None:
        return GateDecision(promote=True, reasons=(name, *(f"warning: {reason}" for reason in missed)))
    difference, low = _auc_difference(labels, patients, probabilities, theirs)
    compared = (
        f"AUC {difference:+.4f} against {name} on the same {len(labels)} held-out X-rays, "
        f"at worst {low:+.4f} (95 % interval, {-MARGIN:+} allowed)"
    )
    if low <= -MARGIN:
        missed = (*missed, compared)
    return GateDecision(promote=False, reasons=missed) if missed else GateDecision(promote=True, reasons=(compared,))


def _missed_floors(candidate: Evaluation, shifted: Evaluation | None) -> tuple[str, ...]:
    floors = [
        ("held-out AUC", candidate.auc, AUC_FLOOR),
        ("held-out sensitivity", candidate.sensitivity, SENSITIVITY_FLOOR),
    ]
    if shifted:
        floors += [
            ("AUC under shift", shifted.auc, SHIFTED_AUC_FLOOR),
            ("sensitivity under shift", shifted.sensitivity, SHIFTED_RATE_FLOOR),
            ("specificity under shift", shifted.specificity, SHIFTED_RATE_FLOOR),
        ]
    return tuple(
        f"{name} {estimate.value:.3f} is below the floor of {floor}"
        for name, estimate, floor in floors
        if estimate.value < floor
    )


def _auc_difference(
    labels: np.ndarray, patients: np.ndarray, candidate: np.ndarray, champion: np.ndarray
) -> tuple[float, float]:
    """The difference of the two AUCs and the lower end of its interval; a sample draws the same patients for both."""
    codes = np.unique(patients, return_inverse=True)[1]

    def difference(weights: np.ndarray) -> float:
        return float(
            roc_auc_score(labels, candidate, sample_weight=weights)
            - roc_auc_score(labels, champion, sample_weight=weights)
        )

    samples = [difference(weights) for weights in patient_weights(labels, codes, seed=0)]
    return difference(np.ones(len(labels))), float(np.percentile(samples, 100 * (1 - CONFIDENCE) / 2))
