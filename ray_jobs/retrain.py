"""Train again if there is a reason: `python -m ray_jobs.retrain --because weekly | on-drift`.

What calls it decides when: `ray_jobs.scheduler` or EventBridge. There is never more than one at a time. The gate
decides whether the new version replaces Production, and where approval is required, a person does. Each time, a report
is kept.
"""

import argparse
from dataclasses import dataclass

from mlflow import MlflowClient

from ray_jobs.current_data import read_served
from ray_jobs.drift import examine
from ray_jobs.feature_table.prepare import prepare
from ray_jobs.runtime.cli import run_job
from ray_jobs.runtime.cluster import sole_owner
from ray_jobs.sweep import TRIALS
from ray_jobs.tracking.judge import TrainingResult
from ray_jobs.tracking.lineage import lineage_of
from ray_jobs.tracking.retraining import EVERY, FAILED, note_begin, note_end
from ray_jobs.tracking.runs import experiment_of
from ray_jobs.tracking.traffic import NotServedError, bring_into_traffic
from ray_jobs.train import summary, train
from registry.errors import FixableError
from registry.model.versions import ModelVersion, client
from registry.production.current import production
from registry.settings import Settings
from registry.state import open_state

LOOK_BACK_DAYS = 7.0
NOT_SERVED = "promoted, but traffic did not take it"


@dataclass(frozen=True, kw_only=True)
class RetrainingReport:
    """What a retraining came to, in a word and in lines."""

    outcome: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((f"outcome     {self.outcome}", *self.lines))


def retrain(settings: Settings, *, because: str, trials: int = TRIALS) -> RetrainingReport:
    """Look whether there is a reason to train, train, and keep a report as a run of MLflow and in the state.

    Raises
    ------
    AlreadyRunningError
        If another one is at work.
    """
    state = open_state(settings.state_uri)
    with sole_owner("retrain", settings):
        begun, lines, failure = note_begin(state, why=because), list[str](), None
        try:
            outcome = _retrain(settings, because, trials, lines)
        except FixableError as error:  # what is interrupted otherwise has no end, and is due again
            outcome, failure = NOT_SERVED if isinstance(error, NotServedError) else FAILED, error
            lines.append(f"error       {error}")
        report = RetrainingReport(outcome=outcome, lines=tuple(lines))
        _keep(settings, because, report)
        note_end(state, begun, outcome)
    if failure:
        raise failure
    return report


def _retrain(settings: Settings, because: str, trials: int, lines: list[str]) -> str:
    """The outcome in a word; `lines` get what is told of it, as it becomes known."""
    current = production(settings)
    if because == "on-drift" and current:
        examined = examine(settings, current, read_served(open_state(settings.state_uri), current, LOOK_BACK_DAYS))
        lines += [*examined.text.splitlines(), f"drift kept  run {examined.run_id}"]
        if not examined.drift:
            return "no drift" if examined.drift is False else "too few answers to tell drift"
    if current and not _is_new(settings, current):
        hint = "python -m ray_jobs.to_label lists the X-rays from which a training would learn most"
        lines += [f"data        {settings.data_uri} is what {current} has learnt from; {hint}"]
        return "nothing new to learn from"

    def deploy(result: TrainingResult) -> None:
        lines.extend(summary(settings, result).splitlines())
        if result.serves:
            lines.append(f"traffic     {bring_into_traffic(settings, result.version, result.bundle)}")

    result = train(settings, trials=trials, seed=0, then=deploy)
    if result.waits:
        return f"{result.version} waits for a person"
    return f"{result.version} {'is in Production' if result.serves else 'was not promoted'}"


def _is_new(settings: Settings, current: ModelVersion) -> bool:
    """Whether DATA_URI holds other X-rays or labels than those that a version was trained on."""
    return prepare(settings).manifest.digest != lineage_of(settings, current).digest


def _keep(settings: Settings, because: str, report: RetrainingReport) -> None:
    """Keep a report as a run of its own."""
    mlflow_client: MlflowClient = client(settings)
    tags = {"kind": "retraining", "because": because, "outcome": report.outcome}
    run = mlflow_client.create_run(experiment_of(settings, mlflow_client), run_name="retraining", tags=tags)
    mlflow_client.log_text(run.info.run_id, str(report), "retraining.txt")
    failed = report.outcome in (FAILED, NOT_SERVED)
    mlflow_client.set_terminated(run.info.run_id, status="FAILED" if failed else "FINISHED")


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.retrain",
        description="Train again if there is a reason, and let the gate decide.",
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--because", choices=sorted(EVERY), required=True, help="weekly: its time has come; on-drift: look first"
    )


def _job(settings: Settings, options: argparse.Namespace) -> None:
    print(retrain(settings, because=options.because))


if __name__ == "__main__":
    main()
