"""Everything is destroyed and comes back from a backup: the same Production, the same answers, the same history."""

import argparse
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.local.secrets import write_files
from ray_jobs.backups.command import folders_in
from ray_jobs.backups.restore import restore
from ray_jobs.backups.save import save
from ray_jobs.backups.saved import BackupError
from ray_jobs.backups.store import BackupStore
from registry.model import store as databases
from registry.model.versions import client, fetch, version_of
from registry.production.current import production
from registry.production.promotion import history, promote
from registry.production.record_store import RecordStore
from registry.records.feedback import read_feedback, record_feedback
from registry.records.predictions import PredictionSummary
from registry.settings import ROOT, Settings
from registry.state import open_state
from tests.promotions import promoting
from tests.ray_jobs.backups.conftest import opened, parts_of


def answers(settings: Settings, tmp_path: Path, picture: bytes) -> tuple[int, float]:
    """What Production says of a picture, from files that are fetched anew."""
    version = production(settings)
    assert version
    return version.version, fetch(settings, version, tmp_path / "fetched").score(picture).probability


def seen_by_people(settings: Settings, tmp_path: Path, picture: bytes) -> tuple[object, ...]:
    return answers(settings, tmp_path, picture), history(settings), read_feedback(open_state(settings.state_uri))


def contents(tmp_path: Path) -> dict[str, Path]:
    """The files of the contents that the backups hold, by their SHA-256."""
    return {path.name: path for path in (tmp_path / "backups" / "objects").rglob("*") if path.is_file()}


def say_something(settings: Settings) -> None:
    said = PredictionSummary(id="a.0", time=datetime.now(UTC), version=1, probability=0.7, label="PNEUMONIA")
    record_feedback(open_state(settings.state_uri), said, "NORMAL")


def forget_connections() -> None:
    """As in a new process, which has not looked at any database yet."""
    databases._ready.clear()


@pytest.fixture
def artefacts(tmp_path: Path) -> str:
    return str(tmp_path / "artifacts")


def test_what_was_destroyed_comes_back_with_production_answers_and_history(
    settings, published, store, artefacts, tmp_path, xrays
):
    published(settings, 1)
    say_something(settings)
    before = (
        answers(settings, tmp_path, xrays[0][0]),
        history(settings),
        read_feedback(open_state(settings.state_uri)),
    )
    save(store, **parts_of(settings, artefacts))

    for path in (tmp_path / "mlflow.db", tmp_path / "artifacts", tmp_path / "state"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    forget_connections()
    done = restore(opened(tmp_path), name="", only=(), **parts_of(settings, artefacts))

    forget_connections()
    assert seen_by_people(settings, tmp_path, xrays[0][0]) == before
    assert not RecordStore(settings).read(thorough=True).problems
    assert done.before == ()  # there was nothing to keep


def test_the_same_with_postgres_and_buckets(
    settings, published, store, postgres, s3, bucket, tmp_path, xrays, monkeypatch
):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL_S3"])
    whole = settings.model_copy(update={"mlflow_tracking_uri": postgres, "state_uri": f"s3://{bucket}/state"})
    client(whole).create_experiment("test", artifact_location=f"s3://{bucket}/artefacts")
    published(whole, 1)
    before = (answers(whole, tmp_path, xrays[0][0]), history(whole))
    parts = parts_of(whole, f"s3://{bucket}/artefacts")
    kept = save(store, **parts)
    published(whole, 1)  # newer than the backup: neither the version nor its record may be left
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"][::2]:
        s3.delete_object(Bucket=bucket, Key=item["Key"])

    done = restore(store, name=kept.name, only=(), **parts)

    assert (answers(whole, tmp_path, xrays[0][0]), history(whole)) == before
    assert not RecordStore(whole).read(thorough=True).problems
    [before] = done.before
    assert before in store.names()


def test_a_copy_in_another_folder_finds_its_files_there(settings, published, store, artefacts, tmp_path, xrays):
    published(settings, 1)
    before = answers(settings, tmp_path, xrays[0][0])
    save(store, **parts_of(settings, artefacts))
    shutil.rmtree(artefacts)
    moved = tmp_path / "a new machine"
    there = settings.model_copy(
        update={"mlflow_tracking_uri": f"sqlite:///{moved / 'mlflow.db'}", "state_uri": str(moved / "state")}
    )

    restore(store, name="", only=(), **parts_of(there, str(moved / "artifacts")))

    assert answers(there, tmp_path, xrays[0][0]) == before
    with sqlite3.connect(moved / "mlflow.db") as database:
        dump = "\n".join(database.iterdump())
    assert f"{tmp_path}/artifacts" not in dump


def test_a_backup_beside_promotions_holds_one_moment_of_database_and_history(
    settings, promoted, store, artefacts, tmp_path
):
    promoted(settings, 2)
    versions = [version_of(settings, number) for number in (1, 2)]
    with promoting(settings, versions) as seen:
        while len(seen.acknowledged) < 3:
            threading.Event().wait(0.05)
        kept = None
        while kept is None:
            with suppress(BackupError):  # promotions without a pause may leave no moment between two records
                kept = save(store, **parts_of(settings, artefacts))
    restore(store, name=kept.name, only=(), **parts_of(settings, artefacts))
    forget_connections()
    assert not RecordStore(settings).read(thorough=True).problems
    assert promote(settings, versions[0], why="it goes on") or promote(settings, versions[1], why="it goes on")


def test_an_older_database_beside_a_newer_history_is_still_noticed(settings, promoted, store, artefacts):
    promoted(settings, 1)
    kept = save(store, **parts_of(settings, artefacts))
    promoted(settings, 1)
    restore(store, name=kept.name, only=["database"], **parts_of(settings, artefacts))
    forget_connections()
    assert RecordStore(settings).read().older


def test_what_did_not_change_is_not_copied_again_and_old_backups_can_be_removed(
    settings, promoted, store, artefacts, tmp_path
):
    promoted(settings, 1)
    first = save(store, **parts_of(settings, artefacts))
    objects = len(list((tmp_path / "backups" / "objects").rglob("*")))
    say_something(settings)
    second = save(store, **parts_of(settings, artefacts))
    assert len(list((tmp_path / "backups" / "objects").rglob("*"))) - objects <= 4  # feedback, a copy of the database

    old = time.time() - 2 * 86_400
    store.put(lambda: io.BytesIO(b"of no backup"))
    before = contents(tmp_path)
    for path in before.values():
        os.utime(path, (old, old))
    in_the_making, _ = store.put(lambda: io.BytesIO(b"of a backup that is being made"))

    assert store.prune(1) == 1
    assert store.names() == [second.name] != [first.name]
    store.check([file for part in second.parts for file in part.files], lambda: None)
    needed = {file.sha256 for part in second.parts for file in part.files}
    assert contents(tmp_path).keys() == needed | {in_the_making}
    assert not before.keys() <= needed


def test_a_damaged_document_of_the_newest_backup_stops_no_further_one(settings, promoted, store, artefacts, tmp_path):
    promoted(settings, 1)
    damaged = save(store, **parts_of(settings, artefacts))
    (tmp_path / "backups" / "backups" / f"{damaged.name}.json").write_text("{")
    whole = save(store, **parts_of(settings, artefacts))
    assert store.read() == whole


def test_a_damaged_backup_is_named_and_changes_nothing(settings, promoted, store, artefacts, tmp_path):
    promoted(settings, 1)
    kept = save(store, **parts_of(settings, artefacts))
    one = next(file for file in kept.part("artefacts").files if file.path.endswith("card.json"))
    content = tmp_path / "backups" / "objects" / one.sha256[:2] / one.sha256
    content.write_bytes(content.read_bytes()[:-1] + b"?")
    promoted(settings, 1)

    with pytest.raises(BackupError, match=r"holds another content for .*card\.json than was kept"):
        restore(store, name=kept.name, only=(), **parts_of(settings, artefacts))
    assert [change.to_version for change in history(settings)] == [1, 2]

    document = tmp_path / "backups" / "backups" / f"{kept.name}.json"
    document.write_text(document.read_text().replace(one.sha256, "0" * 64, 1))
    with pytest.raises(BackupError, match="was changed or cut short"):
        store.read(kept.name)


def test_a_broken_database_is_put_aside_and_replaced(settings, promoted, store, artefacts, tmp_path):
    promoted(settings, 1)
    save(store, **parts_of(settings, artefacts))
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(BackupError, match="cannot be copied"):
        save(store, **parts_of(settings, artefacts))

    restore(store, name=store.names()[0], only=(), **parts_of(settings, artefacts))

    forget_connections()
    assert [change.to_version for change in history(settings)] == [1]
    assert len(list(tmp_path.glob("mlflow.db.broken-*"))) == 1


def test_a_folder_of_secrets_comes_back_for_its_owner_alone(store, tmp_path):
    """Beside one file that counts, in whose folder the backups may lie."""
    options = argparse.Namespace(folder=[f"secrets={tmp_path / 'secrets'}", f"settings={tmp_path / 'Pulumi.x.yaml'}"])
    (tmp_path / "Pulumi.x.yaml").write_text("settings")
    write_files(tmp_path / "secrets", ("ray-token",))
    token = (tmp_path / "secrets" / "ray-token").read_text()
    saved = save(store, database=None, places=folders_in(options))
    shutil.rmtree(tmp_path / "secrets")
    (tmp_path / "Pulumi.x.yaml").unlink()

    restore(store, name=saved.name, only=(), database=None, places=folders_in(options))

    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "secrets", tmp_path / "secrets" / "ray-token")]
    assert modes == [0o700, 0o444]
    assert (tmp_path / "secrets" / "ray-token").read_text() == token
    assert (tmp_path / "Pulumi.x.yaml").read_text() == "settings"


def test_a_store_inside_what_is_backed_up_is_refused(settings, artefacts):
    inside = Path(settings.state_uri) / "backups"
    inside.mkdir(parents=True)
    with pytest.raises(BackupError, match="which is backed up; name a folder elsewhere"):
        save(BackupStore(open_state(str(inside)), shown=str(inside)), **parts_of(settings, artefacts))


_KILLED = """
import os, signal, sys, threading
import registry.state, ray_jobs.backups.store, ray_jobs.backups.places
from ray_jobs.backups.database import database_of
from ray_jobs.backups.places import FilePlace
from ray_jobs.backups.restore import restore
from ray_jobs.backups.save import save
tmp, work, after = sys.argv[1], sys.argv[2], int(sys.argv[3])
count, whole, one_at_a_time = 0, registry.state.write_atomically, threading.Lock()
def dying(*given):
    global count
    with one_at_a_time:  # so that the files before the last one are all there, and no more
        count += 1
        if count > after:
            os.kill(os.getpid(), signal.SIGKILL)
        whole(*given)
for module in (registry.state, ray_jobs.backups.store, ray_jobs.backups.places):
    module.write_atomically = dying
def opened(path):
    return registry.state.open_state(f"{tmp}/{path}")
parts = {
    "database": database_of(f"sqlite:///{tmp}/mlflow.db"),
    "places": [
        FilePlace(name=name, home=f"{tmp}/{path}", state=opened(path))
        for name, path in (("artefacts", "artifacts"), ("state", "state"))
    ],
}
store = ray_jobs.backups.store.BackupStore(opened("backups"), shown="backups")
save(store, **parts) if work == "backup" else restore(store, name="", only=sys.argv[4:], **parts)
"""


def killed(tmp_path: Path, work: str, *only: str, after: int) -> int:
    """Do the work in a process that is killed as it writes one more file than so many; gives how it ended."""
    command = [sys.executable, "-c", _KILLED, str(tmp_path), work, str(after), *only]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def test_a_killed_backup_leaves_none_and_the_next_one_copies_only_the_rest(settings, promoted, artefacts, tmp_path):
    promoted(settings, 1)
    (tmp_path / "backups").mkdir()
    for after in (0, 7):
        assert killed(tmp_path, "backup", after=after) == -signal.SIGKILL
        assert opened(tmp_path).names() == []
    there = set(contents(tmp_path))
    assert there
    kept = save(opened(tmp_path), **parts_of(settings, artefacts))
    assert len(there & {file.sha256 for part in kept.parts for file in part.files}) >= 5
    opened(tmp_path).check([file for part in kept.parts for file in part.files], lambda: None)


def test_a_killed_restore_is_finished_by_the_next_one_and_nothing_of_before_is_lost(
    settings, promoted, store, artefacts, tmp_path
):
    promoted(settings, 1)
    wanted = history(settings)
    kept = save(store, **parts_of(settings, artefacts))
    promoted(settings, 1)
    newer = history(settings)
    shutil.rmtree(artefacts)
    for after in (0, 2, 4, 12):
        assert killed(tmp_path, "restore", after=after) == -signal.SIGKILL

    done = restore(opened(tmp_path), name="", only=(), **parts_of(settings, artefacts))

    forget_connections()
    assert done.backup.name == kept.name
    assert history(settings) == wanted
    [before] = done.before
    restore(opened(tmp_path), name=before, only=["database", "state"], **parts_of(settings, artefacts))
    forget_connections()
    assert history(settings) == newer


def test_a_killed_restore_of_a_part_is_finished_with_that_part_alone(settings, promoted, store, artefacts, tmp_path):
    promoted(settings, 1)
    save(store, **parts_of(settings, artefacts))
    promoted(settings, 1)
    model = Path(artefacts, "model-2", "card.json")
    assert killed(tmp_path, "restore", "state", after=4) == -signal.SIGKILL
    assert opened(tmp_path).restoring().parts.keys() == {"state"}

    restore(opened(tmp_path), name="", only=(), **parts_of(settings, artefacts))

    assert model.exists()
    assert opened(tmp_path).restoring() is None


def test_what_a_killed_restore_of_a_part_did_not_keep_is_kept_before_more_is_restored(
    settings, promoted, store, artefacts, tmp_path
):
    promoted(settings, 1)
    note = tmp_path / "state" / "note"
    note.write_text("of the backup")
    kept = save(store, **parts_of(settings, artefacts))
    note.write_text("of later")
    promoted(settings, 1)
    newer = history(settings)
    assert killed(tmp_path, "restore", "state", after=6) == -signal.SIGKILL
    first = opened(tmp_path).restoring().parts["state"]
    assert first in opened(tmp_path).names()

    done = restore(opened(tmp_path), name=kept.name, only=(), **parts_of(settings, artefacts))

    assert not Path(artefacts, "model-2", "card.json").exists()
    of_state, of_others = sorted(done.before)
    assert of_state == first
    restore(opened(tmp_path), name=of_others, only=["artefacts", "database"], **parts_of(settings, artefacts))
    restore(opened(tmp_path), name=of_state, only=(), **parts_of(settings, artefacts))
    forget_connections()
    assert Path(artefacts, "model-2", "card.json").exists()
    assert history(settings) == newer
    assert note.read_text() == "of later"


def test_a_part_that_a_killed_restore_left_half_done_is_not_forgotten_over_another_one(
    settings, promoted, store, artefacts, tmp_path
):
    promoted(settings, 1)
    kept = save(store, **parts_of(settings, artefacts))
    other = save(store, **parts_of(settings, artefacts))
    promoted(settings, 1)
    assert killed(tmp_path, "restore", "state", after=4) == -signal.SIGKILL
    begun = opened(tmp_path).restoring().backup

    restore(opened(tmp_path), name=begun, only=["artefacts"], **parts_of(settings, artefacts))
    assert opened(tmp_path).restoring().parts.keys() == {"state"}
    [another] = {kept.name, other.name} - {begun}
    with pytest.raises(BackupError, match="did not end, and state may be half of it"):
        restore(opened(tmp_path), name=another, only=["artefacts"], **parts_of(settings, artefacts))
    restore(opened(tmp_path), name=another, only=["state"], **parts_of(settings, artefacts))
    assert opened(tmp_path).restoring() is None
