"""What a training leaves in MLflow: a parent run with a nested run a trial, each with where it came from."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, LifecycleStage, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from ray_jobs.dataset.manifest import Manifest
from ray_jobs.learning.trial import Trial
from ray_jobs.runtime.progress import write_line
from ray_jobs.tracking.traffic import NotServedError
from registry.addresses import database_file, shown
from registry.model.store import StoreError
from registry.model.versions import client
from registry.process.traces import note, trace_id
from registry.settings import ROOT, Settings

if TYPE_CHECKING:  # 0.5 s, which a job owes only where it draws
    from matplotlib.figure import Figure

KEY_TAG = "training_key"
KIND_TAG = "kind"
CANDIDATE_TAG = "candidate"
TRACE_TAG = "trace_id"  # of the last try, where a training was interrupted
# MLflow's pages then open an experiment on its runs, not on the traces of language models.
_SHOWN_AS = {"mlflow.experimentKind": "custom_model_development"}
_PACKAGES = ("ray", "mlflow", "scikit-learn", "skops", "opencv-python-headless", "numpy", "pydicom")


@dataclass(frozen=True, kw_only=True)
class ParentRun:
    """The run of one training or sweep; everything written to it can be written again without harm."""

    mlflow: MlflowClient
    experiment_id: str
    run_id: str
    provenance: Mapping[str, str]

    def log_data(self, manifest: Manifest) -> None:
        """Say which data the run saw, where MLflow's pages look for it."""
        dataset = Dataset(
            name="x-rays",
            digest=manifest.digest[:36],
            source_type="uri",
            source=Path(manifest.uri).as_uri() if Path(manifest.uri).is_absolute() else manifest.uri,
            profile=f'{{"num_rows": {manifest.rows}}}',
        )
        self.mlflow.log_inputs(self.run_id, datasets=[DatasetInput(dataset=dataset)])

    def log(self, *, params: Mapping[str, object] | None = None, metrics: Mapping[str, float] | None = None) -> None:
        """Log parameters and metrics of the whole."""
        _log(self.mlflow, self.run_id, params or {}, metrics or {})

    def log_trial(self, trial: Trial) -> None:
        """Log a trial as a nested run, once: a trial that is already finished is left as it is."""
        key = trial.candidate.key
        found = self.mlflow.search_runs(
            [self.experiment_id], f"tags.`mlflow.parentRunId` = '{self.run_id}' and tags.`{CANDIDATE_TAG}` = '{key}'"
        )
        if found and found[0].info.status == "FINISHED":
            return
        tags = {**self.provenance, "mlflow.parentRunId": self.run_id, CANDIDATE_TAG: key}
        nested = (
            found[0]
            if found
            else self.mlflow.create_run(self.experiment_id, run_name=f"{trial.candidate.family} {key[:6]}", tags=tags)
        )
        folds = {f"fold_{index}_auc": auc for index, auc in enumerate(trial.fold_auc)}
        plain = sum(trial.plain_auc) / len(trial.plain_auc)
        metrics = {"auc": trial.auc, "plain_auc": plain, "seconds": trial.seconds, "folds": float(len(folds))} | folds
        if len(folds) > 1:
            metrics["auc_standard_error"] = trial.spread
        params = {"family": trial.candidate.family, **trial.candidate.parameters}
        _log(self.mlflow, nested.info.run_id, params, metrics)
        self.mlflow.set_terminated(nested.info.run_id)

    def log_figures(self, figures: Mapping[str, "Figure"], folder: str) -> None:
        """Keep pictures with the run."""
        for name, figure in figures.items():
            self.mlflow.log_figure(self.run_id, figure, f"{folder}/{name}")


@contextmanager
def parent_run(settings: Settings, *, key: str, kind: str, tags: Mapping[str, str]) -> Iterator[ParentRun]:
    """The run of a training or sweep: one of the same key that was interrupted, or a new one.

    It is finished when the block ends, and what was registered from it is complete then, whether traffic takes it or
    not. A block that raises otherwise leaves it failed, one that is killed leaves it running; the next time continues
    either.
    """
    mlflow_client = client(settings)
    experiment_id = experiment_of(settings, mlflow_client)
    provenance = {**tags, **_code(), KEY_TAG: key}
    found = mlflow_client.search_runs(
        [experiment_id],
        f"tags.`{KIND_TAG}` = '{kind}' and tags.`{KEY_TAG}` = '{key}' and attributes.status != 'FINISHED'",
        max_results=1,
    )
    if found:
        run_id = found[0].info.run_id
        mlflow_client.update_run(run_id, status="RUNNING")
        write_line(f"continuing run {run_id}, which was interrupted")
    else:
        run_id = mlflow_client.create_run(experiment_id, run_name=kind, tags={**provenance, KIND_TAG: kind}).info.run_id
    note(**{"mlflow.run_id": run_id})
    if found_trace := trace_id():
        mlflow_client.set_tag(run_id, TRACE_TAG, found_trace)
    try:
        yield ParentRun(mlflow=mlflow_client, experiment_id=experiment_id, run_id=run_id, provenance=provenance)
    except NotServedError:
        mlflow_client.set_terminated(run_id)
        raise
    except BaseException:
        mlflow_client.set_terminated(run_id, status="FAILED")
        raise
    mlflow_client.set_terminated(run_id)


def git_commit() -> str:
    """The commit of this code: GIT_COMMIT in an image, git's answer in a checkout, otherwise `unknown`."""
    if environ.get("GIT_COMMIT"):
        return environ["GIT_COMMIT"]
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"


def experiment_of(settings: Settings, mlflow_client: MlflowClient) -> str:
    """The id of the experiment that is named after the model, made where there is none.

    Raises
    ------
    StoreError
        If somebody has deleted it: MLflow keeps its name until it is restored or collected.
    """
    found = mlflow_client.get_experiment_by_name(settings.model_name)
    if found and found.lifecycle_stage != LifecycleStage.ACTIVE:
        uri = f"MLFLOW_TRACKING_URI='{shown(settings.tracking_uri)}'"
        raise StoreError(
            f"MLflow's experiment {found.name!r} has been deleted. Restore it: {uri} mlflow experiments restore "
            f"--experiment-id {found.experiment_id}; or train under another name: MODEL_NAME={found.name}-2"
        )
    if found:
        return found.experiment_id
    location = None
    if file := database_file(settings.tracking_uri):
        location = (file.resolve().parent / "artifacts").as_uri()
    try:
        return mlflow_client.create_experiment(settings.model_name, artifact_location=location, tags=_SHOWN_AS)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment_of(settings, mlflow_client)  # another job made it first


def _code() -> dict[str, str]:
    packages = {f"package.{name}": installed(name) for name in _PACKAGES}
    return {"mlflow.source.git.commit": git_commit(), **packages}


def _log(mlflow_client: MlflowClient, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
    now = get_current_time_millis()
    mlflow_client.log_batch(
        run_id,
        params=[Param(name, str(value)) for name, value in params.items()],
        metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
    )
