"""Retraining: when it is due, that there is one at a time, that it only trains for a reason, and its report."""

import argparse
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import mlflow
import numpy as np
import pytest

from features.spec import DEFAULT_SPEC
from ray_jobs import retrain, scheduler
from ray_jobs.runtime.cluster import AlreadyRunningError, sole_owner
from ray_jobs.tracking.retraining import FAILED, LastRetraining, last_retraining, next_due, note_begin, note_end
from ray_jobs.tracking.traffic import NotServedError
from ray_jobs.train import train
from registry.errors import UsageError
from registry.model.versions import client
from registry.production.approval import candidates
from registry.production.current import production
from registry.production.promotion import history
from registry.records.predictions import Record, path_of, write
from registry.settings import ROOT, Settings
from registry.state import open_state

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def ago(**units: float) -> str:
    return (NOW - timedelta(**units)).isoformat()


@pytest.mark.parametrize(
    ("last", "why", "due"),
    [
        (None, "weekly", True),
        (LastRetraining(begun=ago(days=6, hours=23), why="weekly", ended=ago(days=6)), "weekly", False),
        (LastRetraining(begun=ago(days=7), why="weekly", ended=ago(days=6)), "weekly", True),
        (LastRetraining(begun=ago(hours=25), why="on-drift", ended=ago(hours=24)), "on-drift", True),
        (LastRetraining(begun=ago(minutes=1), why="weekly"), "weekly", True),  # interrupted
        (LastRetraining(begun=ago(hours=23), why="weekly", ended=ago(hours=22), outcome=FAILED), "weekly", False),
        (LastRetraining(begun=ago(hours=24), why="weekly", ended=ago(hours=23), outcome=FAILED), "weekly", True),
    ],
)
def test_it_is_due_when_its_time_has_come_or_the_last_one_failed_or_was_interrupted(last, why: str, due: bool):
    assert (next_due(last, why) <= NOW) is due


def test_an_interrupted_one_goes_on_as_the_same_and_an_ended_one_is_followed_by_another(tmp_path):
    state = open_state(str(tmp_path))
    first = note_begin(state, why="weekly")
    assert note_begin(state, why="weekly") == first
    note_end(state, first, "no drift")
    found = last_retraining(state)
    assert (found.begun, found.outcome, bool(found.ended)) == (first.begun, "no drift", True)
    state.write(state.path("retraining", "last.json"), b"{")
    assert last_retraining(state) is None


def test_two_at_once_are_one(settings: Settings):
    with sole_owner("retrain", settings), pytest.raises(AlreadyRunningError, match="being done by another job"):
        retrain.retrain(settings, because="weekly", trials=1)
    assert last_retraining(open_state(settings.state_uri)) is None


def answer_pictures_unlike_those_of_the_evaluation(settings: Settings) -> None:
    version, now = production(settings), datetime.now(UTC)
    features = np.random.default_rng(3).normal(5, 1, (60, len(DEFAULT_SPEC.names))).astype(np.float32)
    records = [
        Record(
            id=f"unlike.{number}",
            time=now,
            version=version.version,
            probability=0.9,
            label="PNEUMONIA",
            spec=version.spec_fingerprint,
            features=row,
        )
        for number, row in enumerate(features)
    ]
    state = open_state(settings.state_uri)
    write(state, path_of(state, now, "unlike"), records)


def test_it_trains_for_new_data_or_drift_alone_and_the_gate_or_a_person_decides(settings: Settings):
    with_data = settings.model_copy(update={"data_uri": "synthetic:90"})
    first = retrain.retrain(with_data, because="weekly", trials=1)
    assert first.outcome == "pneumonia version 1 is in Production"
    again = retrain.retrain(with_data, because="weekly", trials=1)
    assert again.outcome == "nothing new to learn from"
    assert "ray_jobs.to_label lists" in str(again)
    quiet = retrain.retrain(with_data, because="on-drift", trials=1)
    assert quiet.outcome == "too few answers to tell drift"  # nobody has asked anything yet
    assert "fewer than" in str(quiet)

    answer_pictures_unlike_those_of_the_evaluation(settings)
    same = retrain.retrain(with_data, because="on-drift", trials=1)
    assert same.outcome == "nothing new to learn from"
    careful = with_data.model_copy(update={"data_uri": "synthetic:100", "approval": "required"})
    more = retrain.retrain(careful, because="on-drift", trials=1)
    assert "verdict     drift\n" in str(more)
    assert production(settings).version == 1
    waiting = [candidate.version.version for candidate in candidates(settings)]
    assert more.outcome in ("pneumonia version 2 waits for a person", "pneumonia version 2 was not promoted")
    assert waiting == ([2] if "waits" in more.outcome else [])

    mlflow_client = client(settings)
    experiment = mlflow_client.get_experiment_by_name(settings.model_name)
    reports = mlflow_client.search_runs([experiment.experiment_id], "tags.kind = 'retraining'")
    told = [run.data.tags["outcome"] for run in reports][::-1]
    assert told == [one.outcome for one in (first, again, quiet, same, more)]
    assert [item.path for item in mlflow_client.list_artifacts(reports[0].info.run_id)] == ["retraining.txt"]
    assert last_retraining(open_state(settings.state_uri)).outcome == more.outcome


def test_a_version_that_traffic_does_not_take_is_reported_with_what_was_trained(settings: Settings, monkeypatch):
    def away(*_: object) -> str:
        raise NotServedError("traffic does not have it after 120 s")

    monkeypatch.setattr(retrain, "bring_into_traffic", away)
    with pytest.raises(NotServedError):
        retrain.retrain(settings.model_copy(update={"data_uri": "synthetic:90"}), because="weekly", trials=1)
    mlflow_client = client(settings)
    experiment = mlflow_client.get_experiment_by_name(settings.model_name)
    [kept] = mlflow_client.search_runs([experiment.experiment_id], "tags.kind = 'retraining'")
    assert (kept.info.status, kept.data.tags["outcome"]) == ("FAILED", retrain.NOT_SERVED)
    told = mlflow.artifacts.load_text(f"{kept.info.artifact_uri}/retraining.txt")
    assert "registered  pneumonia version 1" in told
    assert "error       traffic does not have it after 120 s" in told


def test_a_training_that_is_interrupted_while_it_waits_for_traffic_goes_on_with_the_version_it_has(settings: Settings):
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    few = settings.model_copy(update={"data_uri": "synthetic:90"})
    with pytest.raises(KeyboardInterrupt):
        train(few, trials=1, seed=0, then=interrupted)
    result = train(few, trials=1, seed=0)
    assert (result.version.version, result.serves) == (1, True)
    assert [change.to_version for change in history(settings)] == [1]


def test_a_scheduler_says_when_it_tries_again_after_a_failure(settings: Settings, monkeypatch, caplog):
    weekly = settings.model_copy(update={"retrain": "weekly"})
    state = open_state(settings.state_uri)

    def away(*_: object) -> None:
        note_end(state, note_begin(state, why="weekly"), FAILED)
        raise UsageError("the data are away")

    monkeypatch.setattr(scheduler, "submit", away)
    monkeypatch.setattr(scheduler.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        scheduler._job(weekly, argparse.Namespace(once=False, every=1))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert f"The next one is due at {tomorrow:%Y-%m-%d}" in caplog.text


def test_a_scheduler_starts_what_is_due_and_nothing_else(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    weekly, started = settings.model_copy(update={"retrain": "weekly"}), []
    monkeypatch.setattr(scheduler, "submit", lambda _, *words: started.append(words))
    assert scheduler.look(weekly)
    state = open_state(settings.state_uri)
    note_end(state, note_begin(state, why="weekly"), "done")
    assert not scheduler.look(weekly)
    assert started == [("ray_jobs.retrain", "--because", "weekly")]


def test_the_command_refuses_to_wait_for_what_is_never_due(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["scheduler", "--once"])
    monkeypatch.setenv("STATE_URI", str(tmp_path))
    monkeypatch.setenv("RETRAIN", "off")
    with pytest.raises(SystemExit) as ended:
        scheduler.main()
    assert ended.value.code == UsageError.exit_code


_KILLED = """
import os, signal, sys
from ray_jobs import retrain
from registry.settings import load_settings
retrain.train = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
retrain.retrain(load_settings(), because="weekly", trials=1)
"""


def test_a_killed_retraining_is_due_at_once_and_holds_no_lock(settings: Settings):
    variables = {
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "STATE_URI": settings.state_uri,
        "DATA_URI": "synthetic:60",
    }
    killed = subprocess.run([sys.executable, "-c", _KILLED], cwd=ROOT, env=os.environ | variables, check=False)
    assert killed.returncode == -signal.SIGKILL
    last = last_retraining(open_state(settings.state_uri))
    assert last.ended == ""
    assert next_due(last, "weekly") <= datetime.now(UTC)
    with sole_owner("retrain", settings):
        pass
