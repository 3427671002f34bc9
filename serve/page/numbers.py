"""A model's evaluation as lines that a reader understands: the number, and its interval where it has one."""

from typing import Any

from serve.page.words import percent

SHOWN = ("auc", "sensitivity", "specificity", "accuracy")


def evaluation_rows(evaluation: dict[str, Any], language: str) -> list[tuple[str, str, str]]:
    """(name, value, interval or an empty text) of each metric on held-out patients that the page shows."""
    held_out = evaluation.get("held_out", {})
    rows = []
    for name in SHOWN:
        number = _number(held_out, name)
        if number is None:
            continue
        value, low, high = number
        interval = (
            "" if low is None or high is None else f"[{_text(name, low, language)}, {_text(name, high, language)}]"
        )
        rows.append((name, _text(name, value, language), interval))
    return rows


def _number(evaluation: dict[str, Any], name: str) -> tuple[float, float | None, float | None] | None:
    found = evaluation.get(name)
    if isinstance(found, dict):
        return found["value"], found.get("low"), found.get("high")
    return (float(found), None, None) if isinstance(found, (int, float)) else None


def _text(name: str, value: float, language: str) -> str:
    if name != "auc":
        return percent(value, language)
    text = f"{value:.3f}"
    return text.replace(".", ",") if language == "pt" else text
