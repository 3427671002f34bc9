"""Where in MLflow's pages the project is: by itself MLflow opens on a home page that shows none of it."""

from urllib.parse import quote

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException

from registry.model.versions import ModelVersion, client
from registry.settings import Settings


def mlflow_page(settings: Settings) -> str:
    """Where people open MLflow: MLFLOW_PAGE_URL, else the tracking server, else the page that `make serve` has."""
    tracking = settings.tracking_uri
    here = f"http://127.0.0.1:{settings.mlflow_port}"
    return settings.mlflow_page_url or (tracking if tracking.startswith("http") else here)


def page_of_version(base: str, version: ModelVersion | None) -> str:
    """The runs of the experiment that a version comes from; for None the list of all experiments."""
    if version is None:
        return f"{base.rstrip('/')}/#/experiments"
    if not version.experiment_id:  # registered before it was kept
        return f"{base.rstrip('/')}/#/models/{quote(version.name, safe='')}"
    return _runs(base, version.experiment_id)


def page_of_project(base: str, settings: Settings) -> str:
    """The runs of the experiment that is named after the model; where it cannot be found, the list of experiments."""
    try:
        found = client(settings).get_experiment_by_name(settings.model_name)
    except (MlflowException, OSError):  # whoever asks for a link is not helped by the reason
        found = None
    if found and found.lifecycle_stage == LifecycleStage.ACTIVE:  # MLflow shows no runs of a deleted one
        return _runs(base, found.experiment_id)
    return page_of_version(base, None)


def _runs(base: str, experiment_id: str) -> str:
    return f"{base.rstrip('/')}/#/experiments/{quote(experiment_id, safe='')}/runs"
