"""Compare today's X-rays with what Production was judged by: `python -m ray_jobs.drift --since 7 | --data URI`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.utils.time import get_current_time_millis

from ray_jobs.current_data import CurrentData, read_data, read_served
from ray_jobs.learning.shift import LEAST, SHARE, TELLING, DriftResult, Stretch, agreement, compare
from ray_jobs.runtime.cli import run_job
from ray_jobs.tracking.reference import NoReferenceError, read_reference
from ray_jobs.tracking.runs import experiment_of
from registry.model.versions import ModelVersion, card_of, client
from registry.process.reach import reach_s3
from registry.production.current import required_production
from registry.settings import Settings
from registry.state import open_state

if TYPE_CHECKING:  # 0.5 s, which a job owes only where it draws
    from matplotlib.figure import Figure

DRIFT = 3
_SHOWN = 10


def report(version: ModelVersion, found: CurrentData, result: DriftResult | None, names: Sequence[str]) -> str:
    """The result in words; `names` are those of the features that were compared."""
    lines = [f"{version}: {found.xrays}"]
    if found.judged:
        share, low, high = agreement(found.confirmed, found.judged)
        lines.append(
            f"people      judged {found.judged} and confirmed {share:.3f} ({low:.3f} to {high:.3f}); "
            "people choose which ones they judge, so this does not estimate the accuracy on all"
        )
    if result is None:
        lines.append(f"verdict     none: fewer than {LEAST} pictures say too little")
        return "\n".join(lines)
    worst = np.argsort(-result.features.psi)[: min(_SHOWN, int(result.features.shifted.sum()))]
    lines += [
        f"scores      stability index {result.scores.psi[0]:.3f}, p {result.scores.p[0]:.2g}",
        f"features    {result.share:.1%} shifted, {result.share_within:.1%} within predicted classes, "
        f"drift from {SHARE:.0%}",
        *(f"            {names[index]}: {result.features.psi[index]:.2f}" for index in worst),
        f"pictures    a classifier tells them from those of the evaluation with AUC {result.separation.auc:.3f} "
        f"(p {result.separation.p:.2g}), drift from {TELLING}",
        *_stretch_lines(result.stretch),
        f"verdict     {'drift' if result.drift else 'no drift'}",
    ]
    return "\n".join(lines)


def _stretch_lines(stretch: Stretch | None) -> list[str]:
    if stretch is None:
        return []
    return [
        f"lungs       {stretch.factor:.2f} times as wide to their height, stability index {stretch.psi:.3f}, "
        f"p {stretch.p:.2g}; no answer depends on it"
    ]


def keep(
    settings: Settings,
    version: ModelVersion,
    found: CurrentData,
    result: DriftResult | None,
    *,
    text: str,
    figures: Mapping[str, "Figure"],
) -> str:
    """Keep a comparison as a run beside the version's own; return its id."""
    mlflow_client: MlflowClient = client(settings)
    experiment = experiment_of(settings, mlflow_client)
    run = mlflow_client.create_run(experiment, run_name="drift", tags={"kind": "drift"})
    metrics = {"pictures": float(found.count), "words": float(found.judged), "confirmed": float(found.confirmed)}
    if result:
        metrics |= {
            "drift": float(result.drift),
            "features_shifted": result.share,
            "features_shifted_within_classes": result.share_within,
            "classifier_auc": result.separation.auc,
            "classifier_p": result.separation.p,
            "score_psi": float(result.scores.psi[0]),
            "score_p": float(result.scores.p[0]),
        }
        if stretch := result.stretch:
            metrics |= {"lungs_stretched": stretch.factor, "lungs_psi": stretch.psi, "lungs_p": stretch.p}
    now = get_current_time_millis()
    mlflow_client.log_batch(
        run.info.run_id,
        params=[Param("version", str(version.version))],
        metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
    )
    mlflow_client.log_text(run.info.run_id, text, "drift.txt")
    for name, figure in figures.items():
        mlflow_client.log_figure(run.info.run_id, figure, name)
    mlflow_client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.drift",
        description="Compare what serving saw, or the pictures of --data, with what Production was judged by; exit "
        f"code {DRIFT} where they have drifted.",
        data=False,
        uses=("tracking", "state"),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--since", type=_days, default=7.0, metavar="DAYS", help="how far back to look (7)")
    source.add_argument(
        "--data", metavar="URI", dest="pictures", help="pictures with or without labels, instead of what serving saw"
    )


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= 3650:
        raise argparse.ArgumentTypeError(f"{text} is not a number of days between 0 and 3650")
    return days


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a comparison came to: in words, whether it is drift (None: too little to say), and the run that keeps it."""

    text: str
    drift: bool | None
    run_id: str


def examine(settings: Settings, version: ModelVersion, found: CurrentData) -> Examined:
    """Compare X-rays with what a version was judged by, and keep the comparison as a run."""
    result, names, figures = None, tuple[str, ...](), dict[str, "Figure"]()
    if len(found.scores) >= LEAST:
        reference = read_reference(settings, version)
        if reference.features.shape[1] != found.features.shape[1]:
            raise NoReferenceError(
                f"The records of {version} hold {found.features.shape[1]} features, its reference "
                f"{reference.features.shape[1]}, so they cannot be compared; train a new version."
            )
        card = card_of(settings, version)
        names = card.feature_names
        compared = (reference.features, found.features, reference.scores, found.scores)
        lungs = (reference.aspects, found.aspects)
        result = compare(*compared, threshold=card.threshold, aspects=lungs)
        from ray_jobs.learning.drift_plots import drift_plots  # noqa: PLC0415 - brings matplotlib

        figures = drift_plots(*compared, result=result, names=names)
    text = report(version, found, result, names)
    run_id = keep(settings, version, found, result, text=text, figures=figures)
    return Examined(text=text, drift=result.drift if result else None, run_id=run_id)


def _job(settings: Settings, options: argparse.Namespace) -> None:
    version = required_production(settings)
    if options.pictures:
        reach_s3(options.pictures, variable="--data")
        found = read_data(settings, version, options.pictures)
    else:
        found = read_served(open_state(settings.state_uri), version, options.since)
    examined = examine(settings, version, found)
    print(f"{examined.text}\nkept        run {examined.run_id}")
    if examined.drift:
        sys.exit(DRIFT)


if __name__ == "__main__":
    main()
