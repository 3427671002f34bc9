"""The job that judges a version on other data, over a real registry: what it tells, what it leaves out and refuses."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow.artifacts
import numpy as np
import pytest
from mlflow.entities import Run

from features.spec import DEFAULT_SPEC
from ray_jobs import evaluate
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.layout import patient_of
from ray_jobs.dataset.sources import open_source
from ray_jobs.dataset.split import is_held_out
from ray_jobs.dataset.synthetic import chest_picture
from ray_jobs.feature_table.appearance import Looking, _row
from ray_jobs.feature_table.prepare import prepare
from ray_jobs.learning import gate
from registry.model.versions import client, set_tags
from registry.state import open_state
from tests.serve.support.models import GeneratedXrays, Registry

Job = Callable[..., None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with one version in Production, which knows 40 patients."""
    registry = Registry.empty(tmp_path_factory.mktemp("registry"), GeneratedXrays.generated(patients=40))
    registry.promote(registry.add(0.01))
    return registry


@pytest.fixture
def registry(whole: Registry, tmp_path: Path) -> Registry:
    """The same, with a state of this test's alone."""
    return replace(whole, settings=whole.settings.model_copy(update={"state_uri": str(tmp_path / "state")}))


@pytest.fixture
def job(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """The command in this process, on the registry's settings."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.settings.tracking_uri)
    monkeypatch.setenv("STATE_URI", registry.settings.state_uri)
    monkeypatch.setenv("RAY_ADDRESS", "")

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
        evaluate.main()

    return run


def elsewhere(folder: Path, *, count: int = 40, swapped: bool = False) -> Path:
    """A folder of X-rays of other patients, two pictures each, named as the dataset names them."""
    for patient in range(1000, 1000 + count):
        label = "PNEUMONIA" if patient % 2 else "NORMAL"
        shown = ("NORMAL" if label == "PNEUMONIA" else "PNEUMONIA") if swapped else label
        cause = "bacteria" if patient % 4 == 1 else "virus"
        name = f"person{patient}_{cause}_{patient}.jpeg" if label == "PNEUMONIA" else f"IM-{patient}-0001.jpeg"
        name = f"{patient}.jpeg" if swapped else name
        (folder / shown).mkdir(parents=True, exist_ok=True)
        (folder / shown / name).write_bytes(chest_picture(patient=patient, picture=0, label=label))
    return folder


def runs(registry: Registry) -> list[Run]:
    experiment = client(registry.settings).get_experiment_by_name(registry.settings.model_name)
    return client(registry.settings).search_runs([experiment.experiment_id]) if experiment else []


def report_of(registry: Registry, run: Run, scratch: Path) -> dict:
    path = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id,
        artifact_path="evaluation/report.json",
        dst_path=str(scratch),
        tracking_uri=registry.settings.tracking_uri,
    )
    return json.loads(Path(path).read_text())


def test_other_data_are_reported_with_parts_and_pictures_and_a_second_time_nothing_is_computed(
    cluster, registry: Registry, job: Job, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setitem(gate.FLOORS, "held-out", {"auc": 0.6})
    folder = elsewhere(tmp_path / "elsewhere")
    (folder / "NORMAL" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    job("--data", str(folder))
    output = capsys.readouterr().out
    assert "40 X-rays of 40 patients, 20 with pneumonia" in output
    assert "1 more cannot be decoded" in output
    assert "bacterial: 20 normal, 10 pneumonia: AUC " in output
    assert "floors      all of a promotion are reached" in output
    run = runs(registry)[0]
    assert run.info.status == "FINISHED"
    assert run.data.tags["model.version"] == "1"
    assert run.data.metrics["data_auc"] > 0.8
    assert run.data.metrics["data_auc_low"] <= run.data.metrics["data_auc"] <= run.data.metrics["data_auc_high"]
    kept = {item.path for item in client(registry.settings).list_artifacts(run.info.run_id, "evaluation")}
    pictures = {"abstention", "roc", "calibration", "confusion", "thresholds", "slices"}
    assert kept == {f"evaluation/{name}.png" for name in pictures} | {"evaluation/report.txt", "evaluation/report.json"}
    report = report_of(registry, run, tmp_path)
    assert {part["property"] for part in report["slices"]} >= {"cause", "mean grey", "the server"}
    assert report["advice"]["low"] <= report["advice"]["threshold"] <= report["advice"]["high"]
    for place in ("extraction", "appearance"):
        monkeypatch.setattr(f"ray_jobs.feature_table.{place}.connect", lambda _: pytest.fail("Ray was asked for"))
    job("--data", str(folder), "--version", "1")
    again = capsys.readouterr().out
    assert again.rpartition("report")[0] == output.rpartition("report")[0]


def test_a_version_that_misses_a_floor_exits_with_4_and_says_which(
    cluster, registry: Registry, job: Job, tmp_path: Path, capsys
):
    with pytest.raises(SystemExit) as stopped:
        job("--data", str(elsewhere(tmp_path / "elsewhere", swapped=True)))
    assert stopped.value.code == 4
    assert "is below the floor of 0.9" in capsys.readouterr().out


def test_what_a_version_was_trained_on_does_not_judge_it_under_another_address_either(
    cluster, registry: Registry, job: Job, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setitem(gate.FLOORS, "held-out", {})
    folder = elsewhere(tmp_path / "all", count=160)
    settings = registry.settings.model_copy(update={"data_uri": str(folder)})
    set_tags(settings, registry.versions[0], prepare(settings).tags())
    capsys.readouterr()
    copy = tmp_path / "copy"
    folder.rename(copy)
    job("--data", str(copy))
    held_out = sum(is_held_out(patient_of(path.name)) for path in copy.rglob("*.jpeg"))
    output = capsys.readouterr().out
    assert f"{held_out} X-rays of {held_out} patients" in output
    assert f"{160 - held_out} more are left out, because the version was trained on them" in output


def test_x_rays_that_came_after_a_training_judge_its_version_though_they_are_in_the_same_folder(
    cluster, registry: Registry, job: Job, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setitem(gate.FLOORS, "held-out", {})
    monkeypatch.setitem(gate.CEILINGS, "held-out", {})
    folder = elsewhere(tmp_path / "all", count=60)
    prepared = prepare(registry.settings.model_copy(update={"data_uri": str(folder)}))
    prepared.manifest.keep()
    set_tags(registry.settings, registry.versions[0], prepared.tags())
    capsys.readouterr()
    held_out = sum(is_held_out(patient_of(path.name)) for path in folder.rglob("*.jpeg"))
    trained = next(path for path in folder.rglob("person*.jpeg") if not is_held_out(patient_of(path.name)))
    again = trained.with_name(trained.name.replace(".jpeg", "9.jpeg"))
    again.write_bytes(chest_picture(patient=5000, picture=0, label="PNEUMONIA"))
    job("--data", str(elsewhere(folder, count=100)))
    output = capsys.readouterr().out
    assert f"{held_out + 40} X-rays of {held_out + 40} patients" in output
    assert f"{60 - held_out + 1} more are left out, because the version was trained on them" in output


def one_class(folder: Path) -> Path:
    (elsewhere(folder) / "NORMAL").rename(folder / "PNEUMONIA" / "more")
    return folder


def no_labels(folder: Path) -> Path:
    for index, path in enumerate(list(elsewhere(folder).rglob("*.jpeg"))):
        path.rename(folder / f"{index}.jpeg")
    return folder


def other_labels(folder: Path) -> Path:
    elsewhere(folder)
    (folder / "NORMAL").rename(folder / "benign")
    (folder / "PNEUMONIA").rename(folder / "malignant")
    return folder


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (one_class, "holds no pictures in a folder NORMAL"),
        (no_labels, "holds no pictures in a folder NORMAL nor PNEUMONIA"),
        (other_labels, "other folders there: 'benign', 'malignant'"),
        (lambda folder: elsewhere(folder, count=3), "2 X-rays of 2 patients with NORMAL, 1 X-rays of 1 patients with"),
        (lambda folder: folder, "does not exist"),
    ],
)
def test_data_that_cannot_judge_are_refused_in_a_sentence_and_leave_nothing(
    registry: Registry, job: Job, tmp_path: Path, capsys, make, told
):
    before = len(runs(registry))
    with pytest.raises(SystemExit) as stopped:
        job("--data", str(make(tmp_path / "bad")))
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert told in error
    (line,) = [line for line in error.splitlines() if "stopped:" in line]
    assert error.rstrip().endswith(line)
    assert len(runs(registry)) == before


def test_a_file_that_changed_after_it_was_listed_is_not_remembered_as_the_one_before(registry: Registry) -> None:
    source, state = open_source("synthetic:40"), open_state(registry.settings.state_uri)
    path = next(iter(source.entries())).path
    looking = Looking(source=source, state=state, spec=DEFAULT_SPEC, detector=None, digest="d")  # type: ignore[arg-type]
    with pytest.raises(EntryError, match=f"{path} changed after it was listed; run the job again"):
        _row(looking, path, "0" * 64, np.zeros(len(DEFAULT_SPEC.names)))
