"""A version's model card, as Markdown: what it is for, what it learnt from, how good it is, where it fails.

The sections are those of Mitchell et al., 2019, "Model cards for model reporting", FAT*.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# By the name of an evaluation, what its X-rays are; those that say most of X-rays from elsewhere come first.
XRAYS: Mapping[str, str] = {
    "test": "X-rays in test/, which nothing was trained on or chosen by",
    "site": "X-rays of the site that it was recalibrated for, by calibrations that had not seen their patients",
    "held_out": "X-rays of held-out patients",
    "held_out_shifted": "views of held-out patients, as another place might have taken them",
}
_METRICS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
_SOURCES = {
    "generated": (
        "Generated pictures. The model has never seen an X-ray, so what it says of a real one means nothing. Licence: "
        "that of this project."
    ),
    "kaggle": (
        "Kaggle's \"Chest X-Ray Images (Pneumonia)\": children of one to five years, Guangzhou Women and Children's "
        "Medical Center, China. Licence: CC BY 4.0. Source: D. Kermany et al., 2018, Cell 172(5)."
    ),
}
_OWN_DATA = (
    "X-rays of whoever trained it. This project knows neither their licence nor whose they are; whoever passes the "
    "model on has to say both."
)
_LIMITS = (
    "It answers one question, normal or pneumonia, and takes every other disease for one of the two.",
    "It learnt from the places of its data. Elsewhere other devices, processing, ages and diseases make it worse than "
    "the numbers above: a version that was asked about adults was no better than chance. Measure it on your own X-rays "
    "first, with `python -m ray_jobs.evaluate --data URI`.",
    "Probabilities hold where pneumonia is as frequent as in its data. `python -m ray_jobs.recalibrate` moves them.",
    "What is no chest X-ray is refused, and what is unusual gets a warning. Both checks miss some.",
    "The evidence that it shows is where it looks, not where a disease is.",
)


def model_card(
    evaluation: Mapping[str, Any], *, threshold: float, unsure: tuple[float, float] | None, features: int
) -> str:
    """The card of a version with this evaluation, as its `card.json` has it; what that lacks is left out.

    It does not depend on the order of what it is given: `card.json` is sorted.
    """
    sections = [
        ("Pneumonia on chest X-rays: model card", "#", _what(evaluation, threshold, unsure, features)),
        ("Intended use", "##", _use()),
        ("Data", "##", _data(evaluation)),
        ("How good it is", "##", _numbers(evaluation)),
        ("What may happen to an X-ray on its way", "##", _changes(evaluation)),
        ("Answers that it is unsure of", "##", _abstention(evaluation, unsure)),
        ("Limits", "##", (f"- {limit}" for limit in _LIMITS)),
    ]
    written = [(f"{mark} {title}", list(lines)) for title, mark, lines in sections]
    return "\n\n".join("\n".join([title, "", *lines]) for title, lines in written if lines) + "\n"


def _what(
    evaluation: Mapping[str, Any], threshold: float, unsure: tuple[float, float] | None, features: int
) -> Iterator[str]:
    yield f"- Model: {evaluation.get('model', 'a scikit-learn classifier')}, calibrated by a sigmoid (Platt, 1999)"
    yield f"- Sees: {features} OpenCV descriptors of the box around the lungs"
    yield f"- Says: the probability of pneumonia; PNEUMONIA from {threshold:.3f}"
    if "threshold_rule" in evaluation:
        yield f"- Threshold: {evaluation['threshold_rule']}"
    if unsure:
        yield f"- Unsure: from {unsure[0]:.3f} to {unsure[1]:.3f}"
    if "recalibration" in evaluation:
        moved = evaluation["recalibration"]
        yield f"- Recalibrated: from version {moved['of_version']}, by labels from {moved['labels']}"


def _use() -> Iterator[str]:
    yield "Research and teaching, on frontal chest X-rays of children. It is not a medical device. Never base a"
    yield "decision about a patient on it."


def _data(evaluation: Mapping[str, Any]) -> Iterator[str]:
    data = evaluation.get("data")
    if not data:
        return
    yield _SOURCES.get(str(data.get("kind")), _OWN_DATA)
    yield ""
    yield "| side | X-rays | with pneumonia | patients |"
    yield "|---|---|---|---|"
    for side in ("train", "held-out", "test"):
        pictures = data.get("pictures", {}).get(side, {})
        count = sum(pictures.values())
        if count:
            patients = sum(data.get("patients", {}).get(side, {}).values())
            yield f"| {side} | {count} | {pictures['PNEUMONIA']} | {patients} |"
    yield ""
    yield f"Digest of the manifest: `{data.get('digest', 'unknown')}`. No patient is on two sides."


def _numbers(evaluation: Mapping[str, Any]) -> Iterator[str]:
    measured = [(name, evaluation[name]) for name in XRAYS if name in evaluation]
    if not measured:
        return
    yield "In brackets: 95 % intervals by a bootstrap of patients."
    for name, numbers in measured:
        rows = [(metric, numbers[key]) for key, metric in _METRICS.items() if key in numbers]
        yield f"\n{numbers.get('images', 'Some')} {XRAYS[name]}:\n"
        yield "| | | |"
        yield "|---|---|---|"
        yield from (f"| {metric} | {n['value']:.3f} | ({n['low']:.3f} to {n['high']:.3f}) |" for metric, n in rows)
    scope = evaluation.get("scope", {}).get("held_out", {})
    if {"refused", "doubtful"} <= scope.keys():
        yield ""
        refused, doubtful = _share(scope["refused"]), _share(scope["doubtful"])
        yield f"Of the held-out X-rays it refuses {refused} and finds {doubtful} unusual."


def _changes(evaluation: Mapping[str, Any]) -> Iterator[str]:
    changes = evaluation.get("changes")
    if not changes:
        return
    images = next(iter(changes.values()))["images"]
    yield f"Each change was made to {images} held-out X-rays. An answer that turns was about the change, not the lungs."
    yield ""
    yield "| change | answers that turn | AUC after it |"
    yield "|---|---|---|"
    worst_first = sorted(changes.items(), key=lambda change: (-change[1]["turned"], change[0]))
    yield from (f"| {name} | {_share(found['turned'])} | {found['auc']:.3f} |" for name, found in worst_first)


def _abstention(evaluation: Mapping[str, Any], unsure: tuple[float, float] | None) -> Iterator[str]:
    if not unsure:
        return
    yield f"From {unsure[0]:.3f} to {unsure[1]:.3f} another way to take the same X-ray turns many answers. They carry a"
    yield "warning, and with `ABSTAIN=near-threshold` they are not given."
    abstention = evaluation.get("abstention")
    if not abstention:
        return
    yield ""
    yield "| X-rays | answered | accuracy of these |"
    yield "|---|---|---|"
    for name in (name for name in XRAYS if name in abstention):
        coverage, accuracy = abstention[name]["coverage"], abstention[name]["accuracy"]
        yield f"| {XRAYS[name]} | {_share(coverage)} | {'' if accuracy is None else f'{accuracy:.3f}'} |"


def _share(value: float | Mapping[str, float]) -> str:
    number = value["value"] if isinstance(value, Mapping) else value
    return f"{100 * number:.1f} %"
