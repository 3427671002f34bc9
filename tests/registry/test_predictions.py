"""Prediction records and people's words on them, in a folder and in a bucket."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from registry.feedback import find_feedback, read_feedback, record_feedback
from registry.predictions import Bounds, Record, files, find, matrix, path_of, prune, read, write
from registry.state import State, open_state

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


def record(number: int, *, time: datetime = NOON, spec: str = "a" * 64, version: int = 1) -> Record:
    label = "PNEUMONIA" if number % 2 else "NORMAL"
    return Record(
        id=f"r.{number}",
        time=time,
        version=version,
        probability=number / 100,
        label=label,
        spec=spec,
        features=np.array([number, 0.1], dtype=np.float32),
    )


@pytest.fixture(params=["folder", "bucket"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> State:
    if request.param == "folder":
        return open_state(str(tmp_path / "state"))
    return open_state(f"s3://{request.getfixturevalue('bucket')}/some/where")


def test_records_are_read_back_with_their_features_and_their_spec_from_a_time_on(state: State) -> None:
    old, new = NOON - timedelta(days=3), NOON
    write(state, path_of(state, old, "w"), [record(1, time=old)])
    write(state, path_of(state, new, "w"), [record(2), record(3, time=NOON + timedelta(minutes=1))])
    ((spec, table),) = read(state, since=NOON - timedelta(days=1))
    assert spec == "a" * 64
    assert table.column("id").to_pylist() == ["r.2", "r.3"]
    assert table.column("time").to_pylist()[0] == NOON
    assert matrix(table).dtype == np.float32
    assert matrix(table).tolist() == np.array([[2, 0.1], [3, 0.1]], dtype=np.float32).tolist()
    assert len(list(read(state, since=NOON - timedelta(days=4)))) == 2
    ((_, later),) = read(state, since=NOON + timedelta(seconds=30))
    assert later.column("id").to_pylist() == ["r.3"]


def test_a_file_written_again_takes_its_own_place(state: State) -> None:
    path = path_of(state, NOON, "w")
    write(state, path, [record(1)])
    write(state, path, [record(1), record(2)])
    assert [info.path for info in files(state)] == [path]
    assert find(state, "r.2") == find(state, "r.2")
    said = find(state, "r.1")
    assert said
    assert (said.version, said.probability, said.label, said.time) == (1, 0.01, "PNEUMONIA", NOON)
    assert find(state, "r.9") is None


def test_the_oldest_files_go_first_until_age_and_size_are_within_their_bounds(state: State) -> None:
    for day in range(6):
        begun = NOON + timedelta(days=day)
        write(state, path_of(state, begun, "w"), [record(day, time=begun)])
    size = files(state)[0].size
    now = NOON + timedelta(days=5)
    assert prune(state, Bounds(days=4, size=10 * size), now=now) == 1
    assert prune(state, Bounds(days=4, size=2 * size + size // 2), now=now) == 3
    assert [find(state, f"r.{day}") is not None for day in range(6)] == [False] * 4 + [True] * 2
    assert prune(state, Bounds(days=4, size=10 * size), now=now) == 0


def test_a_later_word_replaces_the_earlier_one_and_the_same_word_changes_nothing(state: State) -> None:
    write(state, path_of(state, NOON, "w"), [record(1), record(2, version=5)])
    first, second = find(state, "r.1"), find(state, "r.2")
    assert first
    assert second
    assert find_feedback(state, "r.1") is None
    word, before = record_feedback(state, first, "PNEUMONIA")
    assert (word.confirms, before) == (True, None)
    again, same = record_feedback(state, first, "PNEUMONIA")
    assert again == same == word
    other, replaced = record_feedback(state, first, "NORMAL")
    assert (other.confirms, replaced) == (False, word)
    record_feedback(state, second, "NORMAL")
    assert [(item.prediction_id, item.version, item.predicted, item.label) for item in read_feedback(state)] == [
        ("r.1", 1, "PNEUMONIA", "NORMAL"),
        ("r.2", 5, "NORMAL", "NORMAL"),
    ]


def test_an_empty_store_has_nothing_to_say(state: State) -> None:
    assert files(state) == []
    assert list(read(state, since=NOON)) == []
    assert read_feedback(state) == []
    assert prune(state, Bounds()) == 0
