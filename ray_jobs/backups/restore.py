"""Put a backup back: everything is checked first, what is there is backed up first, and a killed restore is finished.

Files come before the database that names them, and the history, which says what is in Production, comes last.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ray_jobs.backups.database import CopyableDatabase
from ray_jobs.backups.places import FilePlace, put_back
from ray_jobs.backups.save import save
from ray_jobs.backups.saved import DATABASE, STATE, Backup, BackupError, SavedPart
from ray_jobs.backups.store import BEFORE, BackupStore, Unfinished
from ray_jobs.runtime.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put back: the backup, those made of what was there before (none: there was nothing), and notes.

    `database` is what the database's restore leaves for a person to do; empty for nothing.
    """

    backup: Backup
    before: tuple[str, ...]
    notes: tuple[str, ...]
    database: str = ""


def restore(
    store: BackupStore,
    *,
    name: str,
    only: Sequence[str],
    database: CopyableDatabase | None,
    places: Sequence[FilePlace],
) -> Restored:
    """Put a backup's parts back, all of them or `only` some; without a name, what a killed restore was putting back.

    Raises
    ------
    BackupError
        Before anything is changed, if the backup is not whole, or lacks or has a part that nobody says where to put, or
        if a restore of another one has left parts half restored that this one does not put back.
    """
    unfinished = store.restoring()
    if not name and unfinished:
        name, only = unfinished.backup, only or tuple(unfinished.parts)
    backup = store.read(name)
    parts = _chosen(backup, only, known={place.name for place in places} | ({DATABASE} if database else set()))
    if unfinished:
        _leaves_nothing_half(unfinished, backup, parts)
    files = [file for part in parts for file in part.files]
    with Progress("checking", unit="file", total=len(files)) as progress:
        store.check(files, progress.update)
    names = {part.name for part in parts}
    places = [place for place in places if place.name in names]
    database = database if DATABASE in names else None
    begun = _begun(store, backup, database, places, unfinished)
    steps = {part.name: _step(store, part, database, places) for part in parts}
    notes, left = list[str](), ""
    for part in sorted(parts, key=lambda part: (part.name == STATE, part.name == DATABASE)):
        result = steps[part.name]()
        if part.name == DATABASE:
            left = result
            notes.append(f"{part.name}: the copy of {backup.created}")
        else:
            notes.append(f"{part.name}: {result}")
    half = {name: before for name, before in begun.parts.items() if name not in names}
    if half:
        store.begin_restore(replace(begun, parts=half))
    else:
        store.end_restore()
    kept = dict.fromkeys(begun.parts[name] for name in sorted(names) if begun.parts[name])
    return Restored(backup=backup, before=tuple(kept), notes=tuple(notes), database=left)


def _chosen(backup: Backup, only: Sequence[str], *, known: set[str]) -> list[SavedPart]:
    names = [part.name for part in backup.parts]
    if lacking := sorted(set(only) - set(names)):
        raise BackupError(f"the backup {backup.name} has no part {', '.join(lacking)}; it has {', '.join(names)}")
    chosen = [part for part in backup.parts if not only or part.name in only]
    if homeless := [part.name for part in chosen if part.name not in known]:
        raise BackupError(
            f"nothing says where {', '.join(homeless)} of the backup belongs here: it is of a stack, which "
            "make restore STACK=… knows; or restore only some parts, with --only"
        )
    return chosen


def _leaves_nothing_half(unfinished: Unfinished, backup: Backup, parts: Sequence[SavedPart]) -> None:
    half = sorted(set(unfinished.parts) - {part.name for part in parts})
    if half and unfinished.backup != backup.name:
        raise BackupError(
            f"a restore of {unfinished.backup} did not end, and {', '.join(half)} may be half of it; finish that one "
            f"first, without --backup, or restore {', '.join(half)} too"
        )


def _begun(
    store: BackupStore,
    backup: Backup,
    database: CopyableDatabase | None,
    places: Sequence[FilePlace],
    unfinished: Unfinished | None,
) -> Unfinished:
    """Back up what is there, each part once however many runs its restore takes; gives where that is kept."""
    kept = dict(unfinished.parts) if unfinished and unfinished.backup == backup.name else {}
    names = [place.name for place in places] + ([DATABASE] if database else [])
    new = [name for name in names if not kept.get(name)]
    begun = Unfinished(backup=backup.name, parts=kept | dict.fromkeys(new, ""))
    store.begin_restore(begun)
    places = [place for place in places if place.name in new]
    readable = database if database and DATABASE in new and database.exists() and database.is_sound() else None
    if readable or any(place.listing() for place in places):
        try:
            before = save(store, database=readable, places=places, suffix=BEFORE).name
        except BackupError as error:
            if unfinished:
                store.begin_restore(unfinished)
            else:
                store.end_restore()
            raise BackupError(f"nothing was changed, because what is there cannot be backed up: {error}") from error
        begun = replace(begun, parts=kept | dict.fromkeys(new, before))
        store.begin_restore(begun)
    return begun


def _step(
    store: BackupStore, part: SavedPart, database: CopyableDatabase | None, places: Sequence[FilePlace]
) -> Callable[[], str]:
    if part.name == DATABASE and database:
        return lambda: _load(store, part, database)
    [place] = [place for place in places if place.name == part.name]

    def put() -> str:
        written, removed = put_back(store, place, part)
        return f"{written} of {len(part.files)} files written, {removed} removed that the backup does not have"

    return put


def _load(store: BackupStore, part: SavedPart, database: CopyableDatabase) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "database"
        store.fetch(part.files[0], copy)
        return database.load(copy, home=part.home)
