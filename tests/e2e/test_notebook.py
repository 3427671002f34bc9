"""The notebook, executed as JupyterLab executes it: from a look at the X-rays to an answer of the live webapp."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from notebooks.render import NOTEBOOK, PAGES, execute, in_language, write_dataset, write_kernel
from registry.model.versions import tags_of
from registry.production.current import production
from registry.production.promotion import history
from registry.settings import ROOT, Settings
from tests.serve.support.waiting import free_port, until

CLOUD = "http://mlflow.hm-mlflow.internal"
REPLICA = """
import sys
from pathlib import Path
from tests.serve.support.replica_process import main
main(int(sys.argv[1]), Path(sys.argv[2]), {})
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel of the interpreter that runs the tests, wherever that is installed."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return write_kernel(tmp_path / "jupyter")


@contextmanager
def live_webapp(folder: Path, **environment: str) -> Iterator[str]:
    """The address of a webapp in a process of its own, which follows Production as its environment names it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", REPLICA, str(port), str(folder)]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment)
    try:
        until(lambda: _answers(f"{url}/healthz") or server.poll() is not None, seconds=300)
        assert server.poll() is None, "the webapp ended"
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str, **asked: object) -> bool:
    try:
        return httpx.get(url, trust_env=False, **asked).is_success
    except httpx.HTTPError:
        return False


def notebook(**chosen: object) -> nbformat.NotebookNode:
    """The notebook with names set to other values, as a person would type them."""
    found = nbformat.read(NOTEBOOK, as_version=4)
    for name, value in chosen.items():
        cells = [cell for cell in found.cells if re.search(rf"^{name} = ", cell.source, re.MULTILINE)]
        assert len(cells) == 1, name
        cells[0].source = re.sub(rf"^({name}) = [^#\n]*", rf"\1 = {value!r}  ", cells[0].source, flags=re.MULTILINE)
    return found


def shown(done: nbformat.NotebookNode) -> str:
    """Everything that an executed notebook showed, as text."""
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def pictures(done: nbformat.NotebookNode) -> int:
    """How many cells showed a picture."""
    return sum(any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())) for cell in done.cells)


def first_cells(**chosen: object) -> nbformat.NotebookNode:
    """The notebook up to its settings."""
    found = notebook(**chosen)
    end = next(number for number, cell in enumerate(found.cells) if "profile_settings" in cell.source)
    found.cells = found.cells[: end + 1]
    return found


def test_it_looks_trains_promotes_and_asks_the_webapp(
    settings: Settings, kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = write_dataset(tmp_path / "xrays", 90)
    monkeypatch.setenv("DATA_URI", str(data))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    monkeypatch.setenv("RAY_ADDRESS", "")
    with live_webapp(tmp_path) as url:
        monkeypatch.setenv("WEBAPP_URI", url)
        done = execute(notebook(TRIALS=4, YOUR_NAME="Ana Souza"), kernel)
    told = shown(done)
    for reason in ("duplicate", "label-contradicts-name", "not-an-image", "no-label-folder", "undecodable"):
        assert reason in told
    version = production(settings)
    assert version is not None
    assert version.version == 1
    assert f"{version} · threshold" in told
    assert tags_of(settings, version)["gate"].startswith("waits for approval")
    (change,) = history(settings)
    assert change.who == "Ana Souza"
    assert change.why.startswith("approved: ")
    assert "fitting " in told  # what the job said of its progress, in the notebook
    assert pictures(done) == 6
    assert "No evidence" not in told
    label, prediction = re.search(r"labelled (\w+):\n  label: (\w+)", told).groups()
    assert label == prediction
    assert re.search(r"model: .*'version': 1", told)


def test_without_a_webapp_the_last_cells_say_so(settings: Settings, kernel: str, monkeypatch: pytest.MonkeyPatch):
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("WEBAPP_URI", url)
    found = first_cells(PROFILE="local")
    asking = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if "NotAskableError as" in cell.source]
    assert len(asking) == 2
    given = """
from types import SimpleNamespace
from ray_jobs.notebook import answers
from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.prepare import Prepared
source = open_source("synthetic:40")
worst = answered = [answers.JudgedPicture(path=entry.path, label="NORMAL") for entry in source.entries()][:1]
prepared, version = Prepared(settings=settings, source=source, manifest=None, state=None), SimpleNamespace(version=1)
"""
    found.cells += [nbformat.v4.new_code_cell(given), *asking]
    told = shown(execute(found, kernel))
    assert f"No evidence: no webapp answers at {url}; start it (`make serve`), or name it in WEBAPP_URI" in told
    assert f"No prediction: no webapp answers at {url}" in told


def test_the_cloud_without_what_leads_there_stops_before_anything_is_trained(
    kernel: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("DATA_URI", "MLFLOW_TRACKING_URI_CLOUD", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "")
    with pytest.raises(CellExecutionError) as stopped:
        execute(notebook(PROFILE="cloud"), kernel)
    assert stopped.value.ename == "SettingsError"
    assert stopped.value.evalue == (
        "PROFILE is 'cloud', but ALB_DNS_NAME and DATASOURCE_BUCKET_NAME are empty: write there what `pulumi stack "
        "output --stack aws` shows as loadBalancer and data, or choose PROFILE = 'local'."
    )


def test_its_profile_wins_over_the_environment(kernel: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "cloud")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///here.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI_CLOUD", CLOUD)
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert "MLflow: sqlite:///here.db" in shown(execute(first_cells(), kernel))


def test_make_notebook_opens_it_in_jupyterlab(tmp_path: Path):
    # JupyterLab's own settings say where it listens, and which browser it opens: here, one that keeps what it is shown.
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\ncat "${{1#file://}}" >{tmp_path}/shown.part && mv {tmp_path}/shown.part {tmp_path}/shown\n'
    )
    browser.chmod(0o755)
    port = free_port()
    (tmp_path / "jupyter_server_config.json").write_text(
        json.dumps(
            {
                "ServerApp": {
                    "port": port,
                    "port_retries": 0,
                    "ip": "127.0.0.1",
                    "browser": f"{browser} %s",
                    "allow_root": True,
                },
                "LabApp": {"open_browser": True},
                "IdentityProvider": {"token": "a-token"},
            }
        )
    )
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
    }
    with (tmp_path / "log").open("wb") as log:
        command = ["make", "--no-print-directory", "notebook", "--assume-old=.venv/.installed"]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        asked = {
            "url": f"http://127.0.0.1:{port}/api/contents/train.ipynb",
            "headers": {"Authorization": "token a-token"},
        }
        until(lambda: _answers(**asked) or server.poll() is not None, seconds=300)
        assert server.poll() is None, (tmp_path / "log").read_text()
        found = httpx.get(**asked, trust_env=False, timeout=60).json()
        until((tmp_path / "shown").is_file)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    assert found["type"] == "notebook"
    assert found["content"]["cells"][1]["source"].startswith('PROFILE = "local"')
    assert "/lab/tree/train.ipynb" in (tmp_path / "shown").read_text()


def test_what_is_committed_has_no_outputs():
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert {cell.execution_count for cell in cells} == {None}
    assert 'PROFILE = "local"' in cells[0].source


@pytest.mark.parametrize(("language", "name"), PAGES.items())
def test_the_page_that_is_only_read_shows_the_notebook_of_today(language: str, name: str):
    text = (ROOT / "docs" / name).read_text()
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        there = f"```python\n{cell.source}\n```" if cell.cell_type == "code" else in_language(cell.source, language)
        first, _, rest = there.partition("\n\n")  # a line about the page itself follows the title
        assert first in text, f"docs/{name} lacks what the notebook has; `make notebook-page` writes it again"
        assert rest in text
    drawn = [ROOT / "docs" / address for address in re.findall(r"!\[\]\((.+?)\)", text)]
    assert len(drawn) == 6
    assert sum(path.stat().st_size for path in drawn) < 400_000
    assert "/work" not in text
    assert "/tmp" not in text
