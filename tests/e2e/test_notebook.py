"""The notebook, executed as JupyterLab executes it: it trains, promotes and predicts as it is."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

from features.spec import DEFAULT_SPEC
from registry.bundle import Bundle
from registry.production import production
from registry.settings import ROOT, Settings
from tests.behaviour.not_xrays import generated

NOTEBOOK = ROOT / "notebooks" / "train.ipynb"
KERNEL = "this-environment"
CLOUD = "http://mlflow.hm-mlflow.internal"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel of the interpreter that runs the tests, wherever that is installed."""
    folder = tmp_path / "jupyter" / "kernels" / KERNEL
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": command, "display_name": KERNEL, "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return KERNEL


def executed(notebook: nbformat.NotebookNode, kernel: str) -> str:
    """Everything that it showed."""
    client = NotebookClient(
        notebook, kernel_name=kernel, timeout=500, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def first_cell(profile: str) -> nbformat.NotebookNode:
    """A notebook of nothing but the settings, with a profile chosen as a person would choose it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert "\nPROFILE = None\n" in cell.source
    cell.source = cell.source.replace("PROFILE = None", f"PROFILE = {profile!r}")
    notebook.cells = [cell]
    return notebook


def test_it_trains_promotes_and_predicts_unchanged(settings: Settings, kernel: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATA_URI", "synthetic:200")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    monkeypatch.setenv("RAY_ADDRESS", "")
    shown = executed(nbformat.read(NOTEBOOK, as_version=4), kernel)
    version = production(settings)
    assert version is not None
    assert version.version == 1
    assert f"{version} · threshold" in shown
    predictions = [line.split() for line in shown.splitlines() if line.startswith(("NORMAL/", "PNEUMONIA/"))]
    assert len(predictions) >= 6
    assert sum(path.startswith(label) for path, label, _ in predictions) >= len(predictions) - 2


@pytest.mark.parametrize(("profile", "tracking"), [("cloud", CLOUD), ("local", "sqlite:///here.db")])
def test_its_profile_wins_over_the_environment(profile, tracking, kernel: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "local" if profile == "cloud" else "cloud")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///here.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI_CLOUD", CLOUD)
    monkeypatch.setenv("RAY_ADDRESS", "")
    shown = executed(first_cell(profile), kernel)
    assert repr(tracking) in shown


def test_it_answers_nothing_of_a_picture_that_is_no_chest_x_ray(
    fitted, detector, xrays, capsys: pytest.CaptureFixture[str]
):
    pictures = {"NORMAL/a.png": xrays[0][0], "NORMAL/hand.png": generated("hand", 1)[0]}
    cell = nbformat.read(NOTEBOOK, as_version=4).cells[-1].source
    bundle = Bundle(estimator=fitted, spec=DEFAULT_SPEC, threshold=0.5, detector=detector, evaluation={}, golden=())
    exec(cell, {"paths": list(pictures), "source": SimpleNamespace(read=pictures.__getitem__), "bundle": bundle})
    sound, hand = capsys.readouterr().out.splitlines()
    assert sound.split()[1] in ("NORMAL", "PNEUMONIA")
    assert "two lungs side by side are not found" in hand


def test_what_is_committed_has_no_outputs():
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert {cell.execution_count for cell in cells} == {None}
