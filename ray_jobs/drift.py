"""Compare what serving saw with what Production was judged by: `python -m ray_jobs.drift --since 7`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.utils.time import get_current_time_millis

from ray_jobs.learning.shift import LEAST, SHARE, TELLING, DriftResult, agreement, compare
from ray_jobs.runtime.cli import run_job
from ray_jobs.tracking.reference import NoReferenceError, read_reference
from ray_jobs.tracking.runs import experiment_of
from registry.feedback import read_feedback
from registry.predictions import matrix, read
from registry.production import required_production
from registry.settings import Settings
from registry.state import State, open_state
from registry.versions import ModelVersion, card_of, client

DRIFT = 3
MOST = 5_000  # pictures compared; more would tell no more and take gigabytes
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class ServedPredictions:
    """What a version answered in a period: features (N, D), probabilities (N,), and how many answers people judged."""

    features: np.ndarray
    scores: np.ndarray
    confirmed: int
    judged: int


def read_served(state: State, version: ModelVersion, since: datetime) -> ServedPredictions:
    """The records of a version and the feedback on it from a time on; records of another feature spec are left out."""
    features, scores = list[np.ndarray](), [np.zeros(0)]
    for spec, table in read(state, since=since):
        mine = table.filter(np.asarray(table.column("version")) == version.version)
        if spec == version.spec_fingerprint and len(mine):
            features.append(matrix(mine))
            scores.append(mine.column("probability").to_numpy())
    given = [item for item in read_feedback(state) if item.version == version.version and item.predicted_at >= since]
    return ServedPredictions(
        features=np.concatenate(features) if features else np.zeros((0, 0), np.float32),
        scores=np.concatenate(scores),
        confirmed=sum(item.confirms for item in given),
        judged=len(given),
    )


def report(
    version: ModelVersion, found: ServedPredictions, result: DriftResult | None, names: Sequence[str], *, days: float
) -> str:
    """The result in words; `names` are those of the features that were compared."""
    lines = [f"{version}: {len(found.scores)} pictures in {days:g} days"]
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
        f"verdict     {'drift' if result.drift else 'no drift'}",
    ]
    return "\n".join(lines)


def keep(
    settings: Settings, version: ModelVersion, found: ServedPredictions, result: DriftResult | None, text: str
) -> str:
    """Keep a comparison as a run beside the version's own; return its id."""
    mlflow_client: MlflowClient = client(settings)
    experiment = experiment_of(settings, mlflow_client)
    run = mlflow_client.create_run(experiment, run_name="drift", tags={"kind": "drift"})
    metrics = {"pictures": float(len(found.scores)), "words": float(found.judged), "confirmed": float(found.confirmed)}
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
    now = get_current_time_millis()
    mlflow_client.log_batch(
        run.info.run_id,
        params=[Param("version", str(version.version))],
        metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
    )
    mlflow_client.log_text(run.info.run_id, text, "drift.txt")
    mlflow_client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.drift",
        description="Compare what serving saw with what Production was judged by; exit code 3 where it has drifted.",
        data=False,
        uses=("tracking", "state"),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=_days, default=7.0, metavar="DAYS", help="how far back to look (7)")


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= 3650:
        raise argparse.ArgumentTypeError(f"{text} is not a number of days between 0 and 3650")
    return days


def _job(settings: Settings, options: argparse.Namespace) -> None:
    version = required_production(settings)
    found = read_served(open_state(settings.state_uri), version, datetime.now(UTC) - timedelta(days=options.since))
    result, names = None, tuple[str, ...]()
    if len(found.scores) >= LEAST:
        reference = read_reference(settings, version)
        chosen = np.random.default_rng(0).permutation(len(found.scores))[:MOST]
        if reference.features.shape[1] != found.features.shape[1]:
            raise NoReferenceError(
                f"The records of {version} hold {found.features.shape[1]} features, its reference "
                f"{reference.features.shape[1]}, so they cannot be compared; train a new version."
            )
        card = card_of(settings, version)
        names = card.feature_names
        result = compare(
            reference.features, found.features[chosen], reference.scores, found.scores[chosen], threshold=card.threshold
        )
    text = report(version, found, result, names, days=options.since)
    run_id = keep(settings, version, found, result, text)
    print(f"{text}\nkept        run {run_id}")
    if result and result.drift:
        sys.exit(DRIFT)


if __name__ == "__main__":
    main()
