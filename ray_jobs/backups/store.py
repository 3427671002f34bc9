"""Where backups are kept: each content once, under its SHA-256, and a document for each backup that names contents.

A backup exists when its document does. What a killed one had copied is there for the next, and what did not change
since the last backup is not copied again.
"""

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pyarrow.fs import FileInfo, FileSelector, FileType, LocalFileSystem

from ray_jobs.backups.saved import Backup, BackupError, SavedFile, from_text, to_text
from registry.state import State, write_atomically

_IN_MEMORY = 16 << 20
_CHUNK = 1 << 20
_NOTE_S = 5.0
_MAKING_S = 86_400.0  # longer than a backup takes
_DRAFT = "unfinished.json"
_RESTORING = "restoring.json"
BEFORE = "-before-restore"  # ends the names of backups that a restore makes

Opener = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A restore that has not ended: of which backup, and for each part the one of what was there (empty: none yet)."""

    backup: str
    parts: Mapping[str, str]


class BackupStore:
    """Backups in a folder or bucket."""

    def __init__(self, place: State, *, shown: str) -> None:
        self._place = place
        self.shown = shown
        self._there: dict[str, int] | None = None
        self._noted = time.monotonic()

    def is_below(self, folder: str) -> bool:
        """Whether it lies in a folder of this machine."""
        return isinstance(self._place.filesystem, LocalFileSystem) and Path(self._place.base).is_relative_to(folder)

    # Contents

    def _object(self, sha256: str) -> str:
        return self._place.path("objects", sha256[:2], sha256)

    def holds(self, sha256: str, size: int) -> bool:
        """Whether a content is there with all its bytes."""
        if self._there is None:
            self._there = {info.base_name: info.size for info in self._contents()}
        return self._there.get(sha256) == size

    def _contents(self) -> list[FileInfo]:
        found = FileSelector(self._place.path("objects"), recursive=True, allow_not_found=True)
        return [info for info in self._place.filesystem.get_file_info(found) if info.type == FileType.File]

    def put(self, opened: Opener) -> tuple[str, int]:
        """Keep what a stream holds, unless it is there; gives SHA-256 and size."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            digest, size = hashlib.sha256(), 0
            with opened() as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
                    size += len(chunk)
            sha256 = digest.hexdigest()
            if not self.holds(sha256, size):
                copy.seek(0)
                write_atomically(self._place.filesystem, self._object(sha256), cast(BinaryIO, copy))
                if self._there is not None:
                    self._there[sha256] = size
        return sha256, size

    def fetch(self, file: SavedFile, target: Path) -> None:
        """Copy a content to a file of this machine; raises BackupError where it is not what was kept."""
        digest = hashlib.sha256()
        try:
            with (
                self._place.filesystem.open_input_stream(self._object(file.sha256)) as stream,
                target.open("wb") as copy,
            ):
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
        except FileNotFoundError:
            raise BackupError(f"{self.shown} lacks {file.sha256[:12]}, the content of {file.path}") from None
        if digest.hexdigest() != file.sha256:
            raise BackupError(
                f"{self.shown} holds another content for {file.path} than was kept: {digest.hexdigest()[:12]}, not "
                f"{file.sha256[:12]}. The copy is damaged; restore an older backup (--list shows them)"
            )

    def check(self, files: Iterable[SavedFile], done: Callable[[], None]) -> None:
        """Read every content and compare it with its digest; raises BackupError at the first that differs."""
        with tempfile.TemporaryDirectory() as scratch:
            for file in files:
                self.fetch(file, Path(scratch) / "content")
                done()

    # Backups

    def names(self) -> list[str]:
        """The names of the complete backups, oldest first."""
        found = self._place.names(self._place.path("backups"))
        return [name.removesuffix(".json") for name in found if name.endswith(".json") and not name.startswith(".")]

    def read(self, name: str = "") -> Backup:
        """A backup by its name, or the newest that people made; raises BackupError where there is none."""
        names = self.names()
        chosen = name if name else max((one for one in names if not one.endswith(BEFORE)), default="")
        if chosen not in names:
            there = f"; it has {', '.join(names)}" if names else ""
            raise BackupError(f"{self.shown} holds no backup{f' {name!r}' if name else ''}{there}")
        text = self._place.read(self._place.path("backups", f"{chosen}.json")).decode(errors="replace")
        return from_text(text, where=f"{self.shown}/backups/{chosen}.json")

    def finish(self, backup: Backup) -> None:
        """Make a backup exist; from now on it can be restored."""
        self._place.write(self._place.path("backups", f"{backup.name}.json"), to_text(backup).encode())
        self._remove(_DRAFT)

    def prune(self, keep: int) -> int:
        """Remove all but the newest backups, and the contents of more than a day ago that no other one names.

        Gives how many backups went.
        """
        names = self.names()
        kept = [name for name in names if not name.endswith(BEFORE)][-keep:]
        going = [name for name in names if kept and name < kept[0]]
        for name in going:
            self._place.filesystem.delete_file(self._place.path("backups", f"{name}.json"))
        if going:
            needed = {file.sha256 for name in self.names() for part in self.read(name).parts for file in part.files}
            # What came lately may be of a backup that is being made, whose document comes last.
            before = (time.time() - _MAKING_S) * 1e9
            for info in self._contents():
                if info.base_name not in needed and (info.mtime_ns or 0) < before:
                    self._place.filesystem.delete_file(info.path)
            self._there = None
        return len(going)

    # What an interrupted run leaves for the next one

    def known(self) -> dict[tuple[str, str], SavedFile]:
        """Files by home and path as the newest backup has them, and as an interrupted one had noted them."""
        found: dict[tuple[str, str], SavedFile] = {}
        with contextlib.suppress(BackupError):  # a damaged document, too, only means that files are read once more
            newest = self.read(max(self.names(), default=""))
            found |= {(part.home, file.path): file for part in newest.parts for file in part.files}
        path = self._place.path(_DRAFT)
        if self._place.exists(path):
            with contextlib.suppress(ValueError, TypeError, KeyError):  # without it, files are read once more
                found |= {(home, file["path"]): SavedFile(**file) for home, file in json.loads(self._place.read(path))}
        return found

    def note(self, files: Callable[[], dict[tuple[str, str], SavedFile]], *, now: bool = False) -> None:
        """Note which files are known, every few seconds, so that a killed backup need not read them again."""
        if now or time.monotonic() - self._noted > _NOTE_S:
            text = json.dumps([(home, asdict(file)) for (home, _), file in files().items()])
            self._place.write(self._place.path(_DRAFT), text.encode())
            self._noted = time.monotonic()

    def restoring(self) -> Unfinished | None:
        """The restore that has begun and not ended."""
        path = self._place.path(_RESTORING)
        if not self._place.exists(path):
            return None
        found = json.loads(self._place.read(path))
        parts = found.get("parts")
        if parts is None:  # as it was noted before each part was
            parts = {part.name: found["before"] for part in self.read(found["before"]).parts} if found["before"] else {}
        return Unfinished(backup=found["backup"], parts=parts)

    def begin_restore(self, begun: Unfinished) -> None:
        """Note what a restore has begun with, and what it kept of before."""
        self._place.write(self._place.path(_RESTORING), json.dumps(asdict(begun)).encode())

    def end_restore(self) -> None:
        """Note that it is complete."""
        self._remove(_RESTORING)

    def _remove(self, name: str) -> None:
        if self._place.exists(self._place.path(name)):
            self._place.filesystem.delete_file(self._place.path(name))
