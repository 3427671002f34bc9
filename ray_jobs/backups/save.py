"""Make a backup while the system runs: first the database, then what it names, so that nothing it names is missing.

The history of Production stands in the database and in the state. Copies of both are of one moment if no record was
written while the database was copied; if one was, the database is copied again.
"""

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ray_jobs.backups.database import CopyableDatabase
from ray_jobs.backups.places import FilePlace, save_place
from ray_jobs.backups.saved import DATABASE, STATE, Backup, BackupError, SavedFile, SavedPart
from ray_jobs.backups.store import BackupStore
from ray_jobs.runtime.progress import write_line

_TRIES = 5
_HISTORY = "history/"


def save(
    store: BackupStore, *, database: CopyableDatabase | None, places: Sequence[FilePlace], suffix: str = ""
) -> Backup:
    """Copy the database and every place into a store, and make a backup of it, whose name ends in `suffix`.

    Raises
    ------
    BackupError
        If anything cannot be copied, or Production changes so often that no moment is found.
    """
    for place in places:
        if place.is_local and not place.only and store.is_below(place.state.base):
            raise BackupError(f"{store.shown} lies in {place.home}, which is backed up; name a folder elsewhere")
    parts, records = list[SavedPart](), _records(places)
    if database and database.exists():
        part, records = _database_of_a_moment(store, database, places)
        parts.append(part)
    for place in places:
        newer = _records([place]) - records if place.name == STATE else frozenset()
        parts.append(save_place(store, place, skipped=newer))
    now = datetime.now(UTC)
    backup = Backup(
        name=f"{now:%Y%m%dT%H%M%S%f}Z{suffix}", created=now.isoformat(timespec="seconds"), parts=tuple(parts)
    )
    if not any(part.files for part in parts):
        raise BackupError("there is nothing to back up: neither a database nor files were found")
    store.finish(backup)
    return backup


def _database_of_a_moment(
    store: BackupStore, database: CopyableDatabase, places: Sequence[FilePlace]
) -> tuple[SavedPart, frozenset[str]]:
    """The database, and the records of the history that belong to it."""
    for _ in range(_TRIES):
        before = _records(places)
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "database"
            write_line(f"copying the database {database.home}")
            database.dump(copy)
            sha256, size = store.put(lambda file=copy: contextlib.closing(file.open("rb")))  # type: ignore[misc]
        after = _records(places)
        if before == after:
            file = SavedFile(path=DATABASE, size=size, sha256=sha256, modified=0)
            return SavedPart(name=DATABASE, home=database.home, files=(file,)), after
        write_line("Production changed meanwhile; copying the database again")
    raise BackupError(f"Production changed during each of {_TRIES} copies of the database; try again when it does not")


def _records(places: Sequence[FilePlace]) -> frozenset[str]:
    """The paths of the records of every history."""
    for place in places:
        if place.name == STATE:
            history = replace(place, state=replace(place.state, base=place.state.path(_HISTORY.rstrip("/"))))
            return frozenset(f"{_HISTORY}{history.path_of(info)}" for info in history.listing())
    return frozenset()
