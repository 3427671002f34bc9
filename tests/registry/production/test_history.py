"""The history of Production: whatever is done to it from outside is noticed, told by name, and can be mended."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from registry.errors import HistoryError
from registry.model.versions import ModelVersion, aliased, client, version_of
from registry.production.current import production
from registry.production.history import BEGINNING, WrittenChange
from registry.production.journal import Journal
from registry.production.promotion import history, promote, rollback
from registry.production.record_store import RecordStore
from registry.settings import Settings
from registry.state import State


@pytest.fixture
def versions(settings: Settings) -> list[ModelVersion]:
    """Three versions, of which nobody reads the files."""
    mlflow_client = client(settings)
    mlflow_client.create_registered_model(settings.model_name)
    for number in range(1, 4):
        mlflow_client.create_model_version(
            settings.model_name, source="s3://nowhere/model", tags={"digest": f"{number}" * 64}
        )
    return [version_of(settings, number) for number in (1, 2, 3)]


@pytest.fixture
def whole(settings: Settings, versions: list[ModelVersion]) -> Settings:
    """A history of three promotions."""
    for version in versions:
        promote(settings, version, why=f"promotion of {version.version}")
    return settings


def copies(settings: Settings) -> list[Path]:
    """The files of the records in STATE_URI, oldest first."""
    return sorted(Path(settings.state_uri).glob("history/pneumonia/*/*.json"))


def tag(settings: Settings, number: int) -> str:
    return client(settings).get_registered_model("pneumonia").tags[f"promotion.{number:06d}"]


def told(settings: Settings) -> list[str]:
    return [str(problem) for problem in RecordStore(settings).read(thorough=True).problems]


def test_each_record_has_the_digest_of_the_one_before_and_stands_in_both_places(whole: Settings) -> None:
    texts = [tag(whole, number) for number in (1, 2, 3)]
    assert [file.read_text() for file in copies(whole)] == texts
    records = [WrittenChange(text) for text in texts]
    assert [record.change.previous for record in records] == [BEGINNING, records[0].digest, records[1].digest]
    assert [record.change.digest[0] for record in records] == ["1", "2", "3"]
    assert told(whole) == []
    assert history(whole) == [record.change for record in records]


def test_a_quick_look_reads_one_record_of_the_state_however_long_the_history_is(whole: Settings, monkeypatch) -> None:
    asked, read = list[str](), State.read

    def counted(state: State, path: str) -> bytes:
        asked.append(Path(path).name)
        return read(state, path)

    monkeypatch.setattr(State, "read", counted)
    head = RecordStore(whole).read().head
    assert head
    assert (head.to_version, asked) == (3, ["000003.json"])


def test_a_reason_of_any_length_is_recorded_within_what_a_tag_holds(settings: Settings, versions) -> None:
    change = promote(settings, versions[0], why='"é' * 5000)
    assert len(tag(settings, 1)) <= 5000
    assert change.why.startswith('"é')
    assert told(settings) == []


def delete_tag(settings: Settings, number: int) -> None:
    client(settings).delete_registered_model_tag("pneumonia", f"promotion.{number:06d}")


def alter_tag(settings: Settings, number: int) -> None:
    fields = json.loads(tag(settings, number)) | {"to_version": 1, "why": "nothing happened"}
    client(settings).set_registered_model_tag("pneumonia", f"promotion.{number:06d}", json.dumps(fields))


def empty_tag(settings: Settings, number: int) -> None:
    client(settings).set_registered_model_tag("pneumonia", f"promotion.{number:06d}", "[]")


def delete_copy(settings: Settings, number: int) -> None:
    copies(settings)[number - 1].unlink()


def alter_copy(settings: Settings, number: int) -> None:
    copies(settings)[number - 1].write_text("x")


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (delete_tag, "is missing in MLflow"),
        (alter_tag, "was altered in MLflow"),
        (empty_tag, "was altered in MLflow"),
        (delete_copy, "is missing in STATE_URI"),
        (alter_copy, "was altered in STATE_URI"),
    ],
)
def test_a_record_that_is_gone_or_altered_in_one_place_is_told_by_its_number_and_mended_from_the_other(
    whole: Settings, damage, where: str, number: int
) -> None:
    before = history(whole)
    damage(whole, number)
    assert told(whole) == [f"record {number} {where}"]
    assert production(whole).version == 3
    change = Journal(whole).repair()
    assert (change.kind, change.to_version) == ("repair", 3)
    assert f"record {number} {where}" in change.why
    assert told(whole) == []
    assert history(whole) == [*before, change]
    assert rollback(whole, why="goes on").to_version == 2


def test_a_repair_undoes_no_promotion_that_was_made_meanwhile(whole: Settings, versions, monkeypatch) -> None:
    alter_copy(whole, 1)
    write_tag = RecordStore.write_tag

    def promoting_first(store: RecordStore, record: WrittenChange) -> None:
        monkeypatch.setattr(RecordStore, "write_tag", write_tag)
        promote(whole, versions[0], why="meanwhile")
        store.write_tag(record)

    monkeypatch.setattr(RecordStore, "write_tag", promoting_first)
    assert Journal(whole).repair().to_version == 1
    assert production(whole) == versions[0]
    assert told(whole) == []


def test_nothing_is_changed_while_the_newest_record_is_damaged(whole: Settings, versions) -> None:
    alter_tag(whole, 3)
    with pytest.raises(HistoryError, match=r"record 3 was altered in MLflow\. .* python -m ray_jobs\.history --verify"):
        promote(whole, versions[0], why="too early")
    assert aliased(whole).version == 3


def test_a_record_that_both_places_have_lost_is_told_and_cannot_be_mended(whole: Settings) -> None:
    delete_tag(whole, 2)
    delete_copy(whole, 2)
    assert told(whole) == ["record 2 is missing in MLflow", "record 2 is missing in STATE_URI"]
    with pytest.raises(HistoryError, match="Nothing that is left says what stood there"):
        Journal(whole).repair()


def test_a_database_that_was_restored_from_a_backup_is_noticed_and_not_followed(
    settings: Settings, versions, tmp_path: Path
) -> None:
    promote(settings, versions[0], why="first")
    promote(settings, versions[1], why="second")
    backup = (tmp_path / "mlflow.db").read_bytes()
    promote(settings, versions[2], why="third")
    (tmp_path / "mlflow.db").write_bytes(backup)
    assert aliased(settings).version == 2
    assert production(settings).version == 3
    with pytest.raises(HistoryError, match="MLflow lacks the newest of 3 records, so its database is older"):
        promote(settings, versions[0], why="fourth")
    Journal(settings).repair()
    assert aliased(settings).version == 3
    assert [change.kind for change in history(settings)] == ["promotion"] * 3 + ["repair"]


def test_a_database_without_the_version_that_was_in_production_is_not_followed_either(
    settings: Settings, versions, tmp_path: Path
) -> None:
    promote(settings, versions[0], why="first")
    backup = (tmp_path / "mlflow.db").read_bytes()
    client(settings).create_model_version("pneumonia", source="s3://nowhere/model", tags={"digest": "4" * 64})
    promote(settings, version_of(settings, 4), why="the new one")
    (tmp_path / "mlflow.db").write_bytes(backup)
    with pytest.raises(HistoryError, match="version 4 is in Production, which is not in MLflow"):
        production(settings)
    client(settings).create_model_version("pneumonia", source="s3://nowhere/model", tags={"digest": "5" * 64})
    with pytest.raises(HistoryError, match="version 4 is in Production, which has other files now"):
        production(settings)
    Journal(settings).repair()
    promote(settings, versions[1], why="one that is there")
    assert production(settings) == aliased(settings) == versions[1]


def test_an_emptied_database_is_told_too(whole: Settings, empty_database: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    with pytest.raises(HistoryError, match="MLflow lacks the newest of 3 records"):
        Journal(whole).append(lambda now: None)


def test_another_registry_with_the_same_state_has_a_history_of_its_own(
    whole: Settings, empty_database: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.db").write_bytes(empty_database.read_bytes())
    other = whole.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path / 'other.db'}"})
    assert history(other) == []
    client(other).create_registered_model("pneumonia")
    client(other).create_model_version("pneumonia", source="s3://nowhere/model")
    promote(other, version_of(other, 1), why="there")
    assert [change.to_version for change in history(other)] == [1]
    assert [change.to_version for change in history(whole)] == [1, 2, 3]


def old_records(settings: Settings) -> None:
    """What versions of this project before the chain wrote: the second change never happened."""
    steps = [(None, 1, None), (1, 2, None), (1, 3, None), (3, 1, 3), (1, 2, None)]
    for number, (before, after, undoes) in enumerate(steps, start=1):
        record = {
            "number": number,
            "when": f"2026-01-0{number}T00:00:00+00:00",
            "who": "app",
            "from_version": before,
            "to_version": after,
            "why": "old",
            "metrics": {"auc": 0.9},
            "undoes": undoes,
        }
        client(settings).set_registered_model_tag("pneumonia", f"promotion.{number:06d}", json.dumps(record))


@pytest.mark.parametrize("half", [False, True], ids=["at once", "after a process that died half-way"])
def test_records_of_before_the_chain_are_taken_over_once_with_a_note(settings, versions, half: bool) -> None:
    old_records(settings)
    client(settings).set_registered_model_alias("pneumonia", "production", "2")
    assert production(settings).version == 2
    assert len(history(settings)) == 5
    if half:
        journal, written = Journal(settings), []
        with pytest.MonkeyPatch.context() as patch:
            real = journal.store.write_tag

            def dying(record: WrittenChange) -> None:
                if len(written) == 2:
                    raise KeyboardInterrupt
                written.append(record)
                real(record)

            patch.setattr(journal.store, "write_tag", dying)
            with pytest.raises(KeyboardInterrupt):
                journal.append(lambda now: None)
        assert production(settings).version == 2
    assert rollback(settings, why="undo").to_version == 1
    changes = history(settings)
    assert [change.kind for change in changes] == [
        *("promotion", "promotion", "promotion", "rollback", "promotion", "takeover", "rollback")
    ]
    assert "5 records that no digest protected until now were taken over" in changes[5].why
    assert changes[4].who == "app"
    assert told(settings) == []
    assert len(copies(settings)) == 7
    promote(settings, versions[2], why="later")
    assert [change.kind for change in history(settings)].count("takeover") == 1


def test_an_alias_that_old_records_do_not_explain_is_told_in_the_note(settings: Settings, versions) -> None:
    old_records(settings)
    client(settings).set_registered_model_alias("pneumonia", "production", "3")
    promote(settings, versions[0], why="new")
    note, new = history(settings)[-2:]
    assert "the last of them says version 2, the alias is on version 3" in note.why
    assert (new.from_version, new.to_version) == (3, 1)


def test_two_states_with_one_registry_have_one_production_and_each_the_whole_history(
    settings: Settings, versions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = settings.model_copy(update={"state_uri": str(tmp_path / "another state")})
    turns = [settings, elsewhere] * 4
    for turn, place in enumerate(turns):
        promote(place, versions[turn % 3], why=f"turn {turn}")
    assert "recorded with STATE_URI" in caplog.text
    for place in (settings, elsewhere):
        assert [change.why for change in history(place)] == [f"turn {turn}" for turn in range(8)]
        assert told(place) == []
        assert production(place).version == 2
    promote(settings, versions[0], why="the last")
    assert len(copies(settings)) == 9
    assert RecordStore(elsewhere).read(thorough=True).lagging == (9,)


def test_changes_made_at_once_from_two_states_are_all_there_one_after_the_other(
    settings: Settings, versions, tmp_path: Path
) -> None:
    made, failed = list[tuple[int, str]](), list[Exception]()

    def change(worker: int) -> None:
        state = str(tmp_path / "another state") if worker % 2 else settings.state_uri
        mine = settings.model_copy(update={"state_uri": state})
        for turn in range(4):
            try:
                change = promote(mine, versions[(worker + turn) % 3], why=f"{worker}.{turn}")
            except MlflowException as error:  # SQLite lets one write at a time; the others do not wait long
                failed.append(error)
                continue
            if change:
                made.append((change.number, change.why))

    threads = [threading.Thread(target=change, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Journal(settings).append(lambda now: None)
    changes = history(settings)
    assert len(made) >= 5
    # An acknowledged change has its number for itself; one that got no answer may be there or not.
    recorded = {change.number: change.why for change in changes}
    assert dict(made).items() <= recorded.items()
    assert len(recorded) - len(made) <= len(failed)
    assert [change.from_version for change in changes] == [None, *(change.to_version for change in changes[:-1])]
    assert aliased(settings).version == changes[-1].to_version
    assert told(settings) == []


def test_a_claim_made_by_one_who_read_the_history_too_long_ago_never_counts(settings: Settings, versions) -> None:
    promote(settings, versions[0], why="first")
    journal = Journal(settings)
    late = journal._next(journal.store.read(), replace(history(settings)[0], to_version=3, why="late"))
    promote(settings, versions[1], why="second")
    record = WrittenChange.of(late)
    assert journal.store.claim(record)
    assert not journal._finish(record)
    assert [change.why for change in history(settings)] == ["first", "second"]
    assert [model.name for model in client(settings).search_registered_models()] == ["pneumonia"]
