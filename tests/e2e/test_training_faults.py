"""One training killed at every point on its way, on a cluster and without one, and two of the same at once."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from ray_jobs.learning.training_set import FOLDS
from ray_jobs.tracking.runs import CANDIDATE_TAG
from registry.model.versions import client, fetch, version_of
from registry.production.current import production
from registry.production.promotion import history
from registry.settings import ROOT, Settings

# A training in which one function kills the job, before it does anything or right after it has done it.
DIES = """
import importlib, os, signal, sys
place, name, moment = sys.argv.pop(1).split(":")
owner = importlib.import_module(place)
*parts, name = name.split(".")
for part in parts:
    owner = getattr(owner, part)
whole = getattr(owner, name)
def dying(*args, **options):
    if moment == "after":
        whole(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, dying)
from ray_jobs.train import main
main()
"""
# A training that stays in its sweep for as long as its input is open.
WAITS = """
import sys
from ray_jobs import train
def wait(*args, **options):
    print("in the sweep", flush=True)
    sys.stdin.read()
train.run_sweep = wait
train.main()
"""
BEFORE_PROMOTION = [
    "ray_jobs.feature_table.prepare:describe:before",  # the manifest stands, nothing is extracted
    "ray_jobs.feature_table.prepare:stored_sides:before",  # everything is extracted
    "ray_jobs.tracking.runs:ParentRun.log_trial:after",  # the first trial is logged, the second is not
    "ray_jobs.train:run_sweep:after",
    "ray_jobs.train:write_bundle:before",  # fitted, evaluated, nothing stored
    "mlflow:MlflowClient.create_model_version:before",  # the files are stored, no version has them
    "ray_jobs.train:register:after",
]
PROMOTION = [
    "mlflow:MlflowClient.set_registered_model_tag:before",  # the change is claimed, and in one of the two places
    "mlflow:MlflowClient.set_registered_model_alias:before",  # on record, not done
    "mlflow:MlflowClient.set_registered_model_alias:after",  # the alias has moved, the legacy stage has not
    "ray_jobs.tracking.judge:set_tags:before",
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a Ray of two workers that outlives the jobs on it."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def start(settings: Settings, *code: str, ray_address: str = "", **options: object) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "STATE_URI": settings.state_uri,
        "RAY_ADDRESS": ray_address,
    }
    command = [sys.executable, *code, "--data", "synthetic:90", "--trials", "2"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes, **options)  # type: ignore[call-overload]


def versions(settings: Settings, tmp_path: Path) -> list[int]:
    """The versions that there are, each with its files."""
    found = client(settings).search_model_versions(f"name='{settings.model_name}'")
    numbers = sorted(int(entry.version) for entry in found)
    for number in numbers:
        bundle = fetch(settings, version_of(settings, number), tmp_path / f"version-{number}")
        assert bundle.evaluation["held_out"]["images"] > 0
    return numbers


@pytest.mark.parametrize(
    "points",
    [
        pytest.param((BEFORE_PROMOTION[3], PROMOTION[0]), id="two points"),
        pytest.param((*BEFORE_PROMOTION, *PROMOTION), id="every point", marks=pytest.mark.long),
    ],
)
def test_a_training_killed_at_one_point_after_another_ends_as_if_it_had_not_been(settings, address, tmp_path, points):
    existing = []
    for point in points:
        killed = start(settings, "-c", DIES, point, ray_address=address)
        output = killed.communicate()
        assert killed.returncode == -signal.SIGKILL, (point, *output)
        existing.append(versions(settings, tmp_path))
    assert existing == [[1] if point in (*BEFORE_PROMOTION[6:], *PROMOTION) else [] for point in points]
    last = start(settings, "-m", "ray_jobs.train")
    summary, said = last.communicate()
    assert last.returncode == 0, said
    assert "which was interrupted" in said
    assert versions(settings, tmp_path) == [1]
    serving = production(settings)
    assert serving.version == 1
    assert client(settings).get_model_version("pneumonia", "1").current_stage == "Production"
    assert "production  pneumonia version 1" in summary
    assert "promoted before the job was interrupted; no version was in Production" in summary
    assert [(change.from_version, change.to_version) for change in history(settings)] == [(None, 1)]
    _nothing_was_done_twice(settings, serving.run_id)


def _nothing_was_done_twice(settings: Settings, run_id: str) -> None:
    mlflow_client = client(settings)
    experiment = mlflow_client.get_experiment_by_name("pneumonia")
    runs = mlflow_client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    tried = Counter(run.data.tags[CANDIDATE_TAG] for run in runs if run.info.run_id != run_id)
    assert list(tried.values()) == [1, 1]
    assert len(list(Path(settings.state_uri, "sweeps", run_id).glob("*.json"))) == 2 * FOLDS
    for run in runs:
        if run.info.run_id != run_id:
            assert len(mlflow_client.get_metric_history(run.info.run_id, "auc")) == 1


@pytest.mark.parametrize("place", ["one machine", pytest.param("a cluster", marks=pytest.mark.long)])
def test_a_training_that_is_running_already_is_refused_by_name_until_it_ends(settings, address, place):
    where = address if place == "a cluster" else ""
    first = start(settings, "-c", WAITS, ray_address=where)
    try:
        assert first.stdout.readline() == "in the sweep\n", first.communicate()
        second = start(settings, "-m", "ray_jobs.train", ray_address=where)
        _, said = second.communicate()
        assert second.returncode == 1
        assert "Traceback" not in said
        last = said.strip().splitlines()[-1]
        assert last.startswith("ray_jobs.train stopped: The same work (train-")
        assert last.endswith("is being done by another job right now; wait for it to end.")
    finally:
        first.kill()
        first.communicate()
    if place == "one machine":
        return  # where a lock of the operating system ends with its process
    third = start(settings, "-c", DIES, "ray_jobs.train:run_sweep:before", ray_address=where)
    third.communicate()
    assert third.returncode == -signal.SIGKILL  # it was let in, as far as the sweep
