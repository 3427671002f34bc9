"""MLflow's own page beside ours: our link opens it on the project, and no page elsewhere reaches it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.model.pages import page_of_project
from registry.model.versions import client
from registry.settings import Settings
from serve.lifecycle.mlflow_ui import MlflowUi
from tests.serve.support.live import CHROMIUM, chromium
from tests.serve.support.waiting import free_port, until


@pytest.fixture(scope="module")
def mlflow_ui(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlflowUi, Settings]]:
    """MLflow's page over a database with one run of the project."""
    folder = tmp_path_factory.mktemp("mlflow-ui")
    shutil.copy(empty_database, folder / "mlflow.db")
    settings = Settings(mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db", mlflow_port=free_port())
    experiment_id = client(settings).create_experiment(settings.model_name)
    client(settings).create_run(experiment_id, run_name="the-training")
    server = MlflowUi(settings, folder / "mlflow.log")
    try:
        until(server.answers, seconds=120)
        yield server, settings
    finally:
        server.stop()


def test_mlflow_answers_neither_a_foreign_name_nor_a_foreign_page(mlflow_ui: tuple[MlflowUi, Settings]) -> None:
    server, settings = mlflow_ui
    port = settings.mlflow_port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert httpx.get(server.url, headers={"Host": host}).status_code == 200
    for host in ("evil.example", f"evil.example:{port}"):
        assert httpx.get(server.url, headers={"Host": host}).status_code == 403
    create = f"{server.url}/api/2.0/mlflow/experiments/create"
    for origin in ("https://evil.example", "null"):
        assert httpx.post(create, json={"name": "x"}, headers={"Origin": origin}).status_code == 403
    assert client(settings).get_experiment_by_name("x") is None


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH; install Debian's package chromium")
def test_our_link_shows_the_runs_of_the_project(mlflow_ui: tuple[MlflowUi, Settings]) -> None:
    server, settings = mlflow_ui
    with chromium() as browser:
        page = browser.new_page()
        page.goto(page_of_project(server.url, settings))
        page.get_by_text("the-training").first.wait_for(timeout=120_000)
        assert "/experiments/1/runs" in page.url
