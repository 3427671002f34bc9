"""How good a trained model is, in words for a terminal."""

from collections.abc import Mapping
from typing import Any

from ray_jobs.learning.changes import MOST_TURNED, turns_many
from ray_jobs.learning.evaluate import Evaluation


def measured_lines(
    held_out: Evaluation, *, test: Evaluation | None, shifted: Evaluation | None, card: Mapping[str, Any]
) -> list[str]:
    """What was measured on each kind of X-rays, and what of the rest in a version's card a person should know."""
    return [
        *_test_lines(test, card),
        f"held out    {held_out.images} X-rays of {held_out.patients} patients that no fitting saw, 95 % intervals:",
        *_numbers(held_out),
        f"            at threshold {held_out.threshold:.3f}; calibration error {held_out.calibration_error}",
        *_shifted_lines(shifted),
        *_changes_lines(turns_many(card.get("changes", {}))),
        *_sample_lines(card.get("sample")),
    ]


def _numbers(found: Evaluation) -> list[str]:
    return [
        f"            AUC {found.auc}, accuracy {found.accuracy},",
        f"            sensitivity {found.sensitivity}, specificity {found.specificity}",
    ]


def _test_lines(test: Evaluation | None, card: Mapping[str, Any]) -> list[str]:
    if test is None:
        there = card.get("data", {}).get("pictures", {}).get("test", {})
        if not any(there.values()):
            return []
        counts = " and ".join(f"{count} {label}" for label, count in there.items())
        return [f"test/       is not evaluated, which takes X-rays of both classes: it has {counts}"]
    return [
        f"test/       {test.images} X-rays of {test.patients} patients that nothing was trained on or chosen by:",
        *_numbers(test),
    ]


def _shifted_lines(shifted: Evaluation | None) -> list[str]:
    if shifted is None:
        return []
    return [
        "shifted     the same as another place might have framed, exposed and processed them:",
        *_numbers(shifted),
    ]


def _changes_lines(turning: str) -> list[str]:
    if not turning:
        return []
    return [
        f"warning     more than {100 * MOST_TURNED:g} % of the answers turn by a change that shows the same lungs:",
        f"            {turning}",
    ]


def _sample_lines(sample: Mapping[str, Any] | None) -> list[str]:
    if sample is None:
        return []
    return [f"sample      fitted on {sample['images']:,} of {sample['of']:,} X-rays; {sample['advice']}"]
