"""What is to be forgotten is gone from records and feedback, also while a server writes the same file."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from ray_jobs.forget import forget
from registry.records.feedback import read_feedback, record_feedback
from registry.records.forgetting import Forgotten, forget_before, forget_prediction
from registry.records.prediction_ids import PredictionIds, parse_id
from registry.records.predictions import PredictionSummary, Record, find, path_of, read, write
from registry.settings import ROOT
from registry.state import open_state
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics


def records(count: int, *, days_ago: float = 0) -> list[Record]:
    ids, now = PredictionIds(), datetime.now(UTC) - timedelta(days=days_ago)
    return [
        Record(
            id=ids.new(),
            time=now + timedelta(milliseconds=index),
            version=1,
            probability=0.5,
            label="NORMAL",
            spec="s",
            features=np.full(4, index, np.float32),
        )
        for index in range(count)
    ]


def kept(state, written: list[Record]) -> None:
    write(state, path_of(state, written[0].time, written[0].id), written)


def said(record: Record) -> PredictionSummary:
    return PredictionSummary(
        id=record.id, time=record.time, version=record.version, probability=record.probability, label=record.label
    )


def all_ids(state) -> list[str]:
    found = read(state, since=datetime(2000, 1, 1, tzinfo=UTC))
    return [name for _, table in found for name in table.column("id").to_pylist()]


@pytest.fixture(params=["folder", "bucket"])
def state(request, tmp_path):
    if request.param == "folder":
        return open_state(str(tmp_path / "state"))
    return open_state(f"s3://{request.getfixturevalue('bucket')}/state")


def test_what_a_replica_adds_while_one_answer_is_forgotten_stays(state, monkeypatch):
    written = records(4)
    kept(state, written[:2])
    read_table = pq.read_table

    def read_just_before_two_more(file):
        monkeypatch.setattr(pq, "read_table", read_table)
        table = pq.read_table(file)
        kept(state, written)
        return table

    monkeypatch.setattr(pq, "read_table", read_just_before_two_more)
    assert forget_prediction(state, written[0].id).records == 1
    assert all_ids(state) == [record.id for record in written[1:]]


def test_one_answer_is_forgotten_with_what_was_said_about_it_and_the_others_stay(state):
    written = records(5)
    kept(state, written)
    for record in written[1:3]:
        record_feedback(state, find(state, record.id), "PNEUMONIA")

    assert forget_prediction(state, written[2].id) == Forgotten(records=1, feedback=1)

    assert all_ids(state) == [written[index].id for index in (0, 1, 3, 4)]
    assert find(state, written[2].id) is None
    assert find(state, written[4].id).id == written[4].id
    assert [word.prediction_id for word in read_feedback(state)] == [written[1].id]
    [(spec, table)] = read(state, since=datetime(2000, 1, 1, tzinfo=UTC))
    assert (spec, table.column("features").to_pylist()[2][0]) == ("s", 3.0)
    assert forget_prediction(state, written[2].id) == Forgotten()


def test_the_one_that_a_file_is_named_after_is_forgotten_and_the_rest_are_still_found(state):
    written = records(3)
    kept(state, written)
    forget_prediction(state, written[0].id)
    assert [find(state, record.id) is not None for record in written] == [False, True, True]


def test_everything_before_a_time_is_forgotten(state):
    old, new = records(3, days_ago=2), records(2)
    kept(state, old)
    kept(state, new)
    state.write(state.path("scores", "key", "00000000.parquet"), b"paths and answers")
    record_feedback(state, said(old[0]), "PNEUMONIA")

    assert forget_before(state, datetime.now(UTC) - timedelta(days=1)) == Forgotten(records=3, feedback=1)
    assert all_ids(state) == [record.id for record in new]
    # The batch was kept a moment ago; from S3, its time is in whole seconds.
    assert forget_before(state, datetime.now(UTC) + timedelta(seconds=2)) == Forgotten(records=2, batches=1)
    assert all_ids(state) == []


def test_an_answer_that_its_server_has_not_written_yet_is_forgotten_once_it_has(state):
    recorder = PredictionRecorder(lambda: state, Metrics())
    [made] = records(1)
    recorder.offer(made)
    moments = []

    def a_moment(_: float) -> None:
        moments.append(1)
        if len(moments) == 3:
            recorder._flush()

    total = forget(lambda: forget_prediction(state, made.id), youngest=parse_id(made.id).time, most=1, pause=a_moment)

    assert total == Forgotten(records=1)
    assert all_ids(state) == []
    assert len(moments) == 4


def test_of_all_before_a_moment_those_are_waited_for_that_are_not_written_yet():
    passes = iter([Forgotten(records=5), Forgotten(), Forgotten(records=3), *[Forgotten()] * 20])
    total = forget(lambda: next(passes), youngest=datetime.now(UTC), pause=lambda _: None)
    assert total == Forgotten(records=8)


def test_an_answer_that_is_old_enough_to_be_written_is_not_waited_for(state):
    youngest = datetime.now(UTC) - timedelta(minutes=3)
    assert forget(lambda: forget_prediction(state, "a.0"), youngest=youngest, pause=pytest.fail) == Forgotten()


def test_a_server_that_still_writes_the_file_does_not_bring_it_back(state):
    recorder = PredictionRecorder(lambda: state, Metrics())
    written = records(4)
    for record in written[:3]:
        recorder.offer(record)
    recorder._flush()
    begun = parse_id(written[0].id).time

    def a_moment(_: float) -> None:
        recorder.offer(written[3])
        recorder._flush()

    total = forget(lambda: forget_prediction(state, written[0].id), youngest=begun, most=1, pause=a_moment)

    assert total == Forgotten(records=1)
    assert all_ids(state) == [record.id for record in written[1:]]
    assert recorder.find(written[0].id) is None


def test_the_command_says_what_it_removed_and_what_it_cannot_reach(tmp_path):
    state = open_state(str(tmp_path / "state"))
    written = records(3, days_ago=2)
    kept(state, written)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ray_jobs.forget", *arguments]
        environment = os.environ | {"STATE_URI": str(tmp_path / "state")}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    done = run("--before", (datetime.now(UTC) - timedelta(days=1)).date().isoformat())
    assert done.returncode == 0, done.stderr
    assert "removed  3 records of predictions, 0 entries of feedback" in done.stdout
    assert "not here backups: they keep it until" in done.stdout
    wrong = run("--before", "tomorrow")
    assert (wrong.returncode, "it takes 2026-11-29" in wrong.stderr) == (2, True)
