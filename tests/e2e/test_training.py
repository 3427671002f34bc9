"""The journey of a training, as a person starts it: whole, killed at any point, started again, undone."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run

from ray_jobs.dataset.sources import open_source
from registry.model.versions import client, fetch, tags_of, version_of
from registry.production.current import production
from registry.production.promotion import history
from registry.settings import ROOT, Settings
from serve.page.language import languages
from serve.page.numbers import facts
from serve.production.model import Served
from tests.collector import above, attributes, collecting

DATA = "synthetic:90"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def variables(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "STATE_URI": settings.state_uri,
        "DATA_URI": DATA,
        "RAY_ADDRESS": "",
        "LOG_FORMAT": "json",
    }


def job(settings: Settings, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=variables(settings), capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stderr
    assert all(json.loads(line)["level"] for line in done.stderr.splitlines())
    return done


def train(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return job(settings, "-m", "ray_jobs.train", "--trials", "2", *arguments)


def versions(settings: Settings) -> list[int]:
    return sorted(int(entry.version) for entry in client(settings).search_model_versions("name='pneumonia'"))


def trainings(settings: Settings) -> list[Run]:
    """The runs of trainings that were begun, each with its status."""
    experiment = client(settings).get_experiment_by_name(settings.model_name)
    found = client(settings).search_runs([experiment.experiment_id], "tags.kind = 'train'") if experiment else []
    return list(found)


@pytest.fixture
def collector(tmp_path, monkeypatch):
    """A collector of traces, which every job of the test sends its own to, below a span of the test."""
    with collecting(tmp_path) as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-b7ad6b7169203331-01")
        yield found


def test_a_training_ends_with_a_version_in_production_and_says_why(settings, tmp_path, collector):
    done = train(settings)
    spans = collector.of(TRACE)
    for name in ("reading", "features", "sweep", "fit", "measure", "register", "judge", "bring into traffic"):
        assert above(spans[name], spans)[-1] == "ray_jobs.train"
    on_workers = {
        "extract a shard": "features",
        "fit a fold": "sweep",
        "fit the best": "fit",
        "change a batch": "changing",
    }
    for name, step in on_workers.items():
        assert above(spans[name], spans)[0] == step
        assert attributes(spans[name])["process.pid"] not in (0, os.getpid())
    assert "registered  pneumonia version 1" in done.stdout
    assert "gate        promoted: no version was in Production" in done.stdout
    assert "production  pneumonia version 1" in done.stdout
    version = production(settings)
    bundle = fetch(settings, version, tmp_path / "bundle")
    assert bundle.evaluation["held_out"]["auc"]["value"] > 0.5
    told = dict(facts(Served(version=version, bundle=bundle, since=version.created, source="disk"), languages()["en"]))
    assert re.fullmatch(r"\d+ from \d+ patients \(\d+ with pneumonia\)", told["fact.train"])  # as the page says it
    tags = tags_of(settings, version)
    assert (tags["dataset.uri"], tags["dataset.kind"]) == (DATA, "generated")
    assert int(tags["dataset.held_out_patients"]) > 3
    assert (Path(settings.state_uri) / "references" / f"{tags['reference']}.parquet").is_file()
    assert json.loads(tags["gate.json"])["promote"] is True
    mlflow_client = client(settings)
    parent = mlflow_client.get_run(version.run_id)
    assert parent.data.tags["trace_id"] == TRACE
    assert attributes(spans["ray_jobs.train"])["mlflow.run_id"] == version.run_id
    nested = mlflow_client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{version.run_id}'")
    assert len(nested) == 2
    for run in (parent, *nested):
        assert run.info.status == "FINISHED"
        for name in ("dataset.digest", "spec_fingerprint", "mlflow.source.git.commit", "package.scikit-learn"):
            assert run.data.tags[name]
    assert {"auc", "fold_0_auc"} <= set(nested[0].data.metrics)
    expected = {"held_out_auc", "held_out_sensitivity_low", "held_out_refused", "held_out_calibration_error", "cv_auc"}
    expected |= {"held_out_shifted_auc", "held_out_coverage", "changes_worst_turned", "changes/JPEG 40/auc"}
    assert expected <= set(parent.data.metrics)
    assert parent.inputs.dataset_inputs[0].dataset.digest == parent.data.tags["dataset.digest"][:36]
    pictures = {item.path for item in mlflow_client.list_artifacts(version.run_id, "held_out")}
    assert pictures == {f"held_out/{name}.png" for name in ("abstention", "calibration", "confusion", "roc")}
    assert (tmp_path / "bundle" / "card.md").read_text() == bundle.card
    for told in ("Generated pictures", "| turned 5 degrees left |", "accuracy of these", f"{bundle.threshold:.3f}"):
        assert told in bundle.card
    registered = mlflow_client.get_model_version(settings.model_name, str(version.version))
    for text in (bundle.card, registered.description):
        assert "as if a missed pneumonia cost as much as a false alarm" in text


@pytest.mark.long
def test_a_training_killed_whenever_it_may_be_leaves_one_version_for_each_that_ended(settings, tmp_path):
    random = np.random.default_rng(5)
    command = [sys.executable, "-m", "ray_jobs.train", "--trials", "2"]
    ended = 0
    for _ in range(8):
        running = subprocess.Popen(command, cwd=ROOT, env=variables(settings), stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(2, 30))
        running.kill()
        running.wait()
        # A process that is killed after its run has ended leaves nothing to go on with, and the next run is another.
        ended = [run.info.status for run in trainings(settings)].count("FINISHED")
    train(settings)
    runs = trainings(settings)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == ended + 1
    assert versions(settings) == list(range(1, len(runs) + 1))
    assert {version_of(settings, number).run_id for number in versions(settings)} == {run.info.run_id for run in runs}
    for number in versions(settings):
        fetch(settings, version_of(settings, number), tmp_path / str(number))


def test_a_second_training_is_judged_against_the_first_and_every_change_can_be_undone(settings, tmp_path):
    train(settings)
    second = train(settings)
    assert versions(settings) == [1, 2]
    promoted = "gate        promoted: AUC +0.0000 against pneumonia version 1 on the same" in second.stdout
    kept_back = "gate        kept back: held-out" in second.stdout  # so few pictures may miss a floor
    assert promoted != kept_back
    assert production(settings).version == (2 if promoted else 1)
    job(settings, "-m", "ray_jobs.promote", "2", "--why", "a test")
    assert production(settings).version == 2
    undone = job(settings, "-m", "ray_jobs.rollback", "--why", "another test")
    assert undone.stdout.startswith("pneumonia version 1 is in Production again, in place of version 2")
    assert production(settings).version == 1
    last = history(settings)[-1]
    assert (last.from_version, last.to_version, last.why) == (2, 1, "another test")
    scored(settings, tmp_path)


@pytest.mark.parametrize("moment", ["starting Ray", "extracted"])
def test_ctrl_c_ends_a_training_in_lines_of_json_with_what_to_do_last(settings, moment):
    command = [sys.executable, "-m", "ray_jobs.train", "--trials", "2"]
    running = subprocess.Popen(
        command, cwd=ROOT, env=variables(settings), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    lines = [json.loads(running.stderr.readline())["message"]]
    while moment not in lines[-1]:
        lines.append(json.loads(running.stderr.readline())["message"])
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does, all that Ray has started there included
    lines += [json.loads(line)["message"] for line in running.stderr]
    assert running.wait() == 1
    assert lines[-1] == "ray_jobs.train interrupted; run it again to continue where it stopped."
    assert not any(word in line for line in lines for word in ("Traceback", "raylet", "SIGTERM")), lines


def scored(settings: Settings, tmp_path: Path) -> None:
    """Batch scoring of a folder without labels, a broken file among its pictures."""
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    source = open_source("synthetic:40")
    for index, path in enumerate(sorted(entry.path for entry in source.entries())[:5]):
        (folder / f"{index}.jpeg").write_bytes(source.read(path))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    job(settings, "-m", "ray_jobs.predict", "--data", str(folder), "--out", str(tmp_path / "out.parquet"))
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["path"] for row in rows] == ["0.jpeg", "1.jpeg", "2.jpeg", "3.jpeg", "4.jpeg", "broken.png"]
    bundle = fetch(settings, production(settings), tmp_path / "bundle")
    for row in rows[:5]:
        assert row["probability"] == pytest.approx(
            float(bundle.predict_unchecked([(folder / row["path"]).read_bytes()])[0])
        )
        assert (row["label"], row["model_version"], row["error"]) == (bundle.label(row["probability"]), 1, None)
    assert rows[5]["probability"] is None
    assert "PNG" in rows[5]["error"]
