"""A model's evaluation as lines that a reader understands: the number, and its interval where it has one."""

from datetime import datetime
from typing import Any

from registry.model.model_card import XRAYS
from serve.page.language import Language
from serve.production.model import Served, ServedCandidate

Rows = list[tuple[str, str, str]]
TOLD = tuple(XRAYS)
SHOWN = ("auc", "sensitivity", "specificity", "accuracy", "calibration_error", "brier")
_SHARES = ("sensitivity", "specificity", "accuracy")


def evaluation_groups(evaluation: dict[str, Any], language: Language) -> list[tuple[str, Rows]]:
    """(name, rows) of each evaluation that a version carries, the one that says most of other places first."""
    groups = [(name, evaluation_rows(evaluation.get(name), language)) for name in TOLD]
    return [(name, rows) for name, rows in groups if rows]


def evaluation_rows(numbers: Any, language: Language) -> Rows:
    """(name, value, interval or an empty text) of each metric of one evaluation that the page shows."""
    rows: Rows = []
    for name in SHOWN:
        number = _number(numbers, name) if isinstance(numbers, dict) else None
        if number is None:
            continue
        value, low, high = number
        interval = (
            "" if low is None or high is None else f"[{_text(name, low, language)}, {_text(name, high, language)}]"
        )
        rows.append((name, _text(name, value, language), interval))
    return rows


def facts(served: Served, language: Language) -> list[tuple[str, str]]:
    """(word, value) of what a version is and learnt from, as far as it carries it."""
    version, bundle = served.version, served.bundle
    evaluation = bundle.evaluation
    rows = [
        ("fact.model", str(evaluation.get("model", version.name))),
        ("fact.version", f"{version.version}"),
        ("fact.trained", language.date(version.created)),
        ("fact.threshold", language.percent(bundle.threshold)),
        ("fact.features", language.count(len(bundle.spec.names))),
    ]
    data = evaluation.get("data", {})
    for side in ("train", "held-out"):
        pictures, patients = data.get("pictures", {}).get(side), data.get("patients", {}).get(side)
        if pictures and patients:
            values = {
                "pictures": sum(pictures.values()),
                "patients": sum(patients.values()),
                "pneumonia": pictures["PNEUMONIA"],
            }
            counts = {name: language.count(value) for name, value in values.items()}
            rows.append((f"fact.{side}", language.words["of_patients"].format(**counts)))
    rates = evaluation.get("scope", {}).get("held_out", {})
    for name in ("refused", "doubtful"):
        number = _number(rates, name)
        if number:
            rows.append((f"fact.{name}", language.percent(number[0])))
    answered = evaluation.get("abstention", {}).get("held_out")
    if answered:
        rows.append(("fact.unsure", language.percent(1 - answered["coverage"])))
    return rows


def rollout_line(candidate: ServedCandidate, language: Language) -> str:
    """That a candidate is compared with what answers, and how far that is; empty where it is stopped."""
    rollout, counts = candidate.record.rollout, candidate.counts
    if rollout is None or counts.stopped:
        return ""
    values = {
        "version": str(rollout.version),
        "until": language.date(datetime.fromisoformat(rollout.until)),
        "pictures": language.count(counts.candidate.pictures),
        "share": language.percent(rollout.share),
    }
    return language.words["rollout.shadow" if candidate.is_shadow else "rollout.canary"].format(**values)


def _number(evaluation: dict[str, Any], name: str) -> tuple[float, float | None, float | None] | None:
    found = evaluation.get(name)
    if isinstance(found, dict):
        return found["value"], found.get("low"), found.get("high")
    return (float(found), None, None) if isinstance(found, (int, float)) else None


def _text(name: str, value: float, language: Language) -> str:
    if name in _SHARES:
        return language.percent(value)
    return language.decimal(value)
