"""Prediction records and people's words on them, in a folder and in a bucket."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSelector

from registry.records.feedback import find_feedback, read_feedback, record_feedback
from registry.records.prediction_ids import PredictionIds, parse_id
from registry.records.predictions import (
    Bounds,
    Record,
    aspects,
    files,
    find,
    made_by,
    matrix,
    path_of,
    prune,
    read,
    write,
)
from registry.state import State

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


def named(prediction_id: str, version: int) -> Record:
    known = parse_id(prediction_id)
    assert known
    return replace(record(1, time=known.time, version=version), id=prediction_id)


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


def test_the_aspects_of_lungs_are_read_back_and_unknown_in_files_of_before(state: State) -> None:
    write(state, path_of(state, NOON, "w"), [replace(record(1), aspect=1.25), record(2)])
    ((_, table),) = read(state, since=NOON)
    np.testing.assert_array_equal(aspects(table), [1.25, np.nan])
    np.testing.assert_array_equal(aspects(table.drop_columns("aspect")), [np.nan, np.nan])


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


def test_an_id_leads_to_the_one_file_that_holds_it_however_long_the_history(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = [PredictionIds() for _ in range(3)]
    records = []
    for turn in range(4):
        for ids in writers:
            batch = [named(ids.new(), turn) for _ in range(3)]
            write(state, path_of(state, batch[0].time, batch[0].id), batch)
            records += batch
    for day in range(1, 4):
        write(state, path_of(state, NOON - timedelta(days=day), "host-7"), [record(day)])
    opened = []
    read_table = pq.read_table
    monkeypatch.setattr(pq, "read_table", lambda *args, **options: opened.append(1) or read_table(*args, **options))
    for kept in records:
        opened.clear()
        said = find(state, kept.id)
        assert said
        assert (said.id, said.time, said.probability) == (kept.id, kept.time, kept.probability)
        assert len(opened) == 1
    opened.clear()
    assert find(state, PredictionIds().new()) is None
    assert opened == []
    assert find(state, "r.2") is not None
    assert len(opened) <= 3  # files of before, none of ours


def test_a_file_begun_before_midnight_is_found_for_an_id_after_it(state: State) -> None:
    midnight = datetime(2026, 3, 5, tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        ids = PredictionIds()
        batch = []
        for seconds in (-1800, -0.001, 0, 1700):
            nanoseconds = round((midnight + timedelta(seconds=seconds)).timestamp() * 1000) * 1_000_000
            patch.setattr("registry.records.prediction_ids.time.time_ns", lambda nanoseconds=nanoseconds: nanoseconds)
            batch.append(named(ids.new(), 1))
    assert [kept.time - midnight for kept in batch] == [timedelta(seconds=s) for s in (-1800, -0.001, 0, 1700)]
    write(state, path_of(state, batch[0].time, batch[0].id), batch)
    assert all(find(state, kept.id) for kept in batch)


def test_ids_are_unique_and_sorted_also_while_the_clock_stands_or_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, made = PredictionIds(), []
    for now in (10**18, 10**18, 10**18 - 10**12, 10**18 + 10**6):
        monkeypatch.setattr("registry.records.prediction_ids.time.time_ns", lambda now=now: now)
        made += [ids.new() for _ in range(5_000)]
    assert made == sorted(set(made))
    assert len({parsed.writer for text in made if (parsed := parse_id(text))}) == 1
    beyond_all_years = "ffffffff-ffff-7fff-bfff-ffffffffffff"
    others = ("r.1", "", made[0].upper(), str(uuid4()), beyond_all_years)
    assert [parse_id(text) for text in others] == [None] * len(others)


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


def test_a_version_made_the_rows_of_its_number_and_digest_and_those_of_before_digests_were_kept(state: State) -> None:
    write(state, path_of(state, NOON, "w"), [replace(record(1), digest=digest) for digest in ("mine", "other", "")])
    ((_, table),) = read(state, since=NOON)
    assert made_by(table, 1, "mine").tolist() == [True, False, True]
    assert made_by(table, 2, "mine").tolist() == [False, False, False]
    assert made_by(table.drop_columns("digest"), 1, "mine").tolist() == [True, True, True]


def test_records_that_somebody_removes_meanwhile_are_passed_over(state: State) -> None:
    for hour in range(2):
        write(state, path_of(state, NOON + timedelta(hours=hour), "w"), [record(hour, time=NOON)])
    reading = read(state, since=NOON)
    assert next(reading)[1].column("id").to_pylist() == ["r.0"]
    state.filesystem.delete_file(files(state)[1].path)
    assert list(reading) == []


def test_feedback_that_cannot_be_read_is_left_out_and_replaced_by_the_next_word(state: State) -> None:
    write(state, path_of(state, NOON, "w"), [record(1), record(2)])
    for number in (1, 2):
        said = find(state, f"r.{number}")
        assert said
        record_feedback(state, said, "NORMAL")
    words = FileSelector(state.path("predictions/feedback"), recursive=True)
    [damaged] = [
        info.path
        for info in state.filesystem.get_file_info(words)
        if info.path.endswith(".json") and b'"r.1"' in state.read(info.path)
    ]
    state.write(damaged, b"")
    assert [word.prediction_id for word in read_feedback(state)] == ["r.2"]
    said = find(state, "r.1")
    assert said
    assert record_feedback(state, said, "PNEUMONIA")[1] is None
    assert len(read_feedback(state)) == 2
