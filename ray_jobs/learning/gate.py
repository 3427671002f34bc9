"""Whether a candidate may replace the champion: pure arithmetic on numbers and on what both say of the same X-rays."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ray_jobs.learning.evaluate import CONFIDENCE, Estimate, Evaluation, patient_weights, weighted_auc

AUC_FLOOR = 0.90
SENSITIVITY_FLOOR = 0.85
SPECIFICITY_FLOOR = 0.80
CALIBRATION_CEILING = 0.10
# A model that calls two of five healthy children ill where the pictures come from elsewhere is not worth promoting.
SHIFTED_AUC_FLOOR = 0.80
SHIFTED_RATE_FLOOR = 0.70
SHIFTED_CALIBRATION_CEILING = 0.20
_OF_XRAYS = {"auc": AUC_FLOOR, "sensitivity": SENSITIVITY_FLOOR, "specificity": SPECIFICITY_FLOOR}
# By the name of an evaluation, what each of its numbers must reach. What a shift does to few X-rays is only known
# roughly, so a floor on shifted ones is missed where the better end of the interval lies below it.
FLOORS: Mapping[str, Mapping[str, float]] = {
    "held-out": _OF_XRAYS,
    "site": _OF_XRAYS,
    "shifted": {"auc": SHIFTED_AUC_FLOOR, "sensitivity": SHIFTED_RATE_FLOOR, "specificity": SHIFTED_RATE_FLOOR},
}
# By the name of an evaluation, what each of its numbers may reach at most.
CEILINGS: Mapping[str, Mapping[str, float]] = {
    "held-out": {"calibration_error": CALIBRATION_CEILING},
    "site": {"calibration_error": CALIBRATION_CEILING},
    "shifted": {"calibration_error": SHIFTED_CALIBRATION_CEILING},
}
MOST_BYTES = 256 << 20
MOST_SECONDS = 2.0
MARGIN = 0.01


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at: a number and its limit, where there are any, whether it passed, and why."""

    name: str
    passed: bool
    reason: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a model costs whoever serves it: bytes on disk, and seconds for its quickest answer."""

    size: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What both say of the same X-rays, arrays (N,); `xrays` names them, such as "the same 300 held-out X-rays".

    One that is not `binding` is only reported.
    """

    xrays: str
    labels: np.ndarray
    patients: np.ndarray
    candidate: np.ndarray
    champion: np.ndarray
    binding: bool = True


@dataclass(frozen=True, kw_only=True)
class Champion:
    """Who is in Production: comparisons with it, the AUC on its record, and what forbids to replace it.

    `notes` are what a person should know of how it was compared; `objections` hold whatever the numbers say.
    """

    name: str
    comparisons: Sequence[Comparison] = ()
    recorded_auc: float | None = None
    notes: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """Whether to promote, every reason for it in words, and all that was looked at."""

    promote: bool
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()

    def __str__(self) -> str:
        return "; ".join(self.reasons)

    def as_json(self) -> dict[str, object]:
        """The decision for programs."""
        return {"promote": self.promote, "reasons": self.reasons, "checks": [asdict(check) for check in self.checks]}


def decide(
    evaluations: Mapping[str, Evaluation], *, footprint: Footprint, champion: Champion | None = None
) -> GateDecision:
    """Decide on a candidate by its evaluations, whose names are those in FLOORS and CEILINGS.

    It passes if it reaches every floor, nothing forbids it, and it is not inferior: in each comparison the lower end of
    the 95 % interval of its AUC minus the champion's, bootstrapped over patients, is above -0.01. With a champion that
    nothing can be compared with, its AUC must not be below the one on the champion's record by more than that; without
    such a record it must reach the floors with the worse ends of its intervals. Without a champion it passes, and
    missed floors warn: an answer with a warning serves better than no answer.
    """
    blind = champion is not None and not champion.comparisons and champion.recorded_auc is None
    floors = (*_floors(evaluations, worst=blind), *_limits(footprint))
    if champion is None:
        warnings = (f"warning: {check.reason}" for check in floors if not check.passed)
        return GateDecision(promote=True, reasons=("no version was in Production", *warnings), checks=floors)
    compared = tuple(_compared(champion.name, comparison) for comparison in champion.comparisons)
    binding = tuple(
        check for check, comparison in zip(compared, champion.comparisons, strict=True) if comparison.binding
    )
    if not compared and champion.recorded_auc is not None:
        compared = binding = _against_the_record(evaluations, champion.name, champion.recorded_auc)
    others = tuple(f"for information: {check.reason}" for check in compared if check not in binding)
    missed = tuple(check.reason for check in (*floors, *binding) if not check.passed)
    promote = not (champion.objections or missed)
    reached = tuple(check.reason for check in binding) or (f"it reaches the floors; nothing compares {champion.name}",)
    objections = tuple(Check(name="data", passed=False, reason=reason) for reason in champion.objections)
    return GateDecision(
        promote=promote,
        reasons=(*(reached if promote else (*champion.objections, *missed)), *others, *champion.notes),
        checks=(*objections, *floors, *compared),
    )


def _floors(evaluations: Mapping[str, Evaluation], *, worst: bool) -> list[Check]:
    """Each number of each evaluation against its limits."""
    return [
        check for name, evaluation in evaluations.items() for check in limit_checks(evaluation, name=name, worst=worst)
    ]


def limit_checks(evaluation: Evaluation, *, name: str, limits: str | None = None, worst: bool = False) -> list[Check]:
    """Each number of an evaluation against the limits of that name in FLOORS and CEILINGS, or of `limits`.

    `worst` takes the worse ends of the intervals of floors. Chance alone opens gaps between share and probability, so
    a ceiling is missed where the lower end is above it.
    """
    checks = []
    for metric, floor in FLOORS.get(limits or name, {}).items():
        estimate: Estimate = getattr(evaluation, metric)
        if worst:
            value, at = estimate.low, " at worst"
        elif name == "shifted":
            value, at = estimate.high, " at best"
        else:
            value, at = estimate.value, ""
        label = f"{name} {_words(metric)}"
        reason = f"{label} {value:.3f}{at} is {'not ' if value >= floor else ''}below the floor of {floor}"
        checks.append(Check(name=label, value=value, limit=floor, passed=value >= floor, reason=reason))
    for metric, ceiling in CEILINGS.get(limits or name, {}).items():
        low = getattr(evaluation, metric).low
        label = f"{name} {_words(metric)}"
        reason = f"{label} {low:.3f} at best is {'not ' if low <= ceiling else ''}above the ceiling of {ceiling}"
        checks.append(Check(name=label, value=low, limit=ceiling, passed=low <= ceiling, reason=reason))
    return checks


def _words(metric: str) -> str:
    return "AUC" if metric == "auc" else metric.replace("_", " ")


def _limits(footprint: Footprint) -> tuple[Check, Check]:
    size, seconds = footprint.size, footprint.seconds
    return (
        Check(
            name="size",
            value=size,
            limit=MOST_BYTES,
            passed=size <= MOST_BYTES,
            reason=f"its files have {size / 2**20:.1f} MiB of at most {MOST_BYTES >> 20}",
        ),
        Check(
            name="seconds an answer",
            value=seconds,
            limit=MOST_SECONDS,
            passed=seconds <= MOST_SECONDS,
            reason=f"its quickest answer takes {seconds:.2f} s of at most {MOST_SECONDS}",
        ),
    )


def _compared(name: str, comparison: Comparison) -> Check:
    difference, low = _auc_difference(comparison)
    return Check(
        name=f"AUC less that of {name} on {comparison.xrays}",
        value=low,
        limit=-MARGIN,
        passed=low > -MARGIN,
        reason=(
            f"AUC {difference:+.4f} against {name} on {comparison.xrays}, "
            f"at worst {low:+.4f} (95 % interval, {-MARGIN:+} allowed)"
        ),
    )


def _against_the_record(evaluations: Mapping[str, Evaluation], name: str, recorded: float) -> tuple[Check, ...]:
    """The AUC of an evaluation against the one that a champion was registered with, on whatever X-rays that was."""
    difference = evaluations["held-out"].auc.value - recorded
    reason = f"AUC {difference:+.4f} against the {recorded:.4f} on the record of {name} ({-MARGIN:+} allowed)"
    label = f"AUC less that on the record of {name}"
    return (Check(name=label, value=difference, limit=-MARGIN, passed=difference > -MARGIN, reason=reason),)


def _auc_difference(comparison: Comparison) -> tuple[float, float]:
    """The difference of the two AUCs and the lower end of its interval; a sample draws the same patients for both."""
    labels = comparison.labels
    codes = np.unique(comparison.patients, return_inverse=True)[1]

    candidate, champion = (weighted_auc(labels, side) for side in (comparison.candidate, comparison.champion))

    def difference(weights: np.ndarray) -> float:
        return candidate(weights) - champion(weights)

    samples = [difference(weights) for weights in patient_weights(labels, codes, seed=0)]
    return difference(np.ones(len(labels))), float(np.percentile(samples, 100 * (1 - CONFIDENCE) / 2))
