"""What a training found, as tables and charts: its candidates, how good the version is, what the gate asked for."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ray_jobs.learning.gate import FLOORS
from ray_jobs.learning.plots import TRIAL_COLUMNS, ranked, trials_figure  # noqa: F401 - notebooks look for it here
from registry.errors import NoSuchVersionError
from registry.model.model_card import XRAYS
from registry.model.versions import ModelVersion, client, tags_of, version_of
from registry.settings import Settings

_METRICS = ("auc", "accuracy", "sensitivity", "specificity", "brier", "calibration_error")
_OF_GATE = {"held_out": "held-out", "held_out_shifted": "shifted"}  # as the gate names the same evaluations


def newest_version(settings: Settings) -> ModelVersion:
    """The version that was registered last; raises NoSuchVersionError where there is none."""
    found = client(settings).search_model_versions(f"name='{settings.model_name}'")
    if not found:
        raise NoSuchVersionError(f"No version of {settings.model_name} is registered; train one with ray_jobs.train.")
    return version_of(settings, max(int(entry.version) for entry in found))


def trials(settings: Settings, version: ModelVersion) -> pd.DataFrame:
    """The candidates of the sweep that a version comes from, best first: those tried on all folds, then the others."""
    runs = client(settings).search_runs([version.experiment_id], f"tags.`mlflow.parentRunId` = '{version.run_id}'")
    rows = [
        {
            "family": run.data.params.get("family", ""),
            "folds": int(run.data.metrics["folds"]),
            "AUC shifted": run.data.metrics["auc"],
            "AUC plain": run.data.metrics["plain_auc"],
            "seconds": run.data.metrics["seconds"],
            "parameters": ", ".join(
                f"{name}={value}" for name, value in sorted(run.data.params.items()) if name != "family"
            ),
        }
        for run in runs
        if "auc" in run.data.metrics
    ]
    return ranked(pd.DataFrame(rows, columns=TRIAL_COLUMNS))


def evaluation_table(evaluation: Mapping[str, Any]) -> pd.DataFrame:
    """Each number with its 95 % interval, for each kind of X-rays that the version was evaluated on, side by side."""
    return pd.DataFrame(
        {
            _words(name): {
                _words(metric): "{value:.3f} ({low:.3f} to {high:.3f})".format(**evaluation[name][metric])
                for metric in _METRICS
            }
            for name in XRAYS
            if name in evaluation
        }
    )


def evaluation_figure(evaluation: Mapping[str, Any]) -> Figure:
    """The same as intervals; a line marks the gate's floor for the evaluation of its colour."""
    metrics = _METRICS[:4]
    shown = [name for name in XRAYS if name in evaluation]
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(shown)
    for number, name in enumerate(shown):
        places = np.arange(len(metrics)) + (number - (len(shown) - 1) / 2) * width
        found = [evaluation[name][metric] for metric in metrics]
        values, low, high = (np.array([one[end] for one in found]) for end in ("value", "low", "high"))
        error = np.maximum([values - low, high - values], 0)
        (line, *_) = axes.errorbar(
            places, values, yerr=error, fmt="o", capsize=4, label=f"{_words(name)}, 95 % interval"
        )
        floors = FLOORS.get(_OF_GATE.get(name, ""), {})
        for place, metric in zip(places, metrics, strict=True):
            if metric in floors:
                axes.hlines(floors[metric], place - width / 2, place + width / 2, color=line.get_color(), linestyle=":")
    axes.set_xticks(range(len(metrics)), [_words(metric) for metric in metrics])
    axes.set_title("Plain and shifted; dotted: what the gate asks for")
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(shown))
    return figure


def _words(name: str) -> str:
    return name.replace("_", " ").replace("auc", "AUC")


def gate_table(settings: Settings, version: ModelVersion) -> pd.DataFrame:
    """What the gate compared of a version, in its own words; empty for one that it has not judged."""
    comparison = json.loads(tags_of(settings, version).get("gate.json", "{}"))
    return pd.DataFrame(comparison.get("checks", []), columns=["passed", "reason"])
