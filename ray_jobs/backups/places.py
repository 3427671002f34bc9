"""Folders and buckets whose files are backed up and put back."""

import contextlib
import hashlib
import re
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from pyarrow.fs import FileInfo, FileSelector, FileType, LocalFileSystem

from ray_jobs.backups.saved import SavedFile, SavedPart
from ray_jobs.backups.store import BackupStore
from ray_jobs.runtime.progress import Progress
from registry.state import State, write_atomically

_AT_ONCE = 8
_CHUNK = 1 << 20
_SETTLED_NS = 2_000_000_000
# Locks of processes, and what `write_atomically` has not renamed yet.
_PASSING = re.compile(r"(^|/)([^/]*\.lock|\.[^/]*\.[0-9a-f]{32})$")


@dataclass(frozen=True, kw_only=True)
class FilePlace:
    """A folder or bucket by its address; `only` names the one file of it that counts.

    `private` is for folders that only their owner may open.
    """

    name: str
    home: str
    state: State
    only: str = ""
    private: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return isinstance(self.state.filesystem, LocalFileSystem)

    def listing(self) -> list[FileInfo]:
        """Every file below it, in the order of their paths."""
        if self.only:
            [info] = self.state.filesystem.get_file_info([self.state.path(self.only)])
            return [info] if info.type == FileType.File else []
        selector = FileSelector(self.state.base, recursive=True, allow_not_found=True)
        found = self.state.filesystem.get_file_info(selector)
        files = (info for info in found if info.type == FileType.File and not _PASSING.search(info.path))
        return sorted(files, key=lambda info: info.path)

    def path_of(self, info: FileInfo) -> str:
        """The path of a file below the place."""
        return str(info.path).removeprefix(f"{self.state.base}/")

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """A stream of a file's content."""
        with self.state.filesystem.open_input_stream(self.state.path(path)) as stream:
            yield cast(BinaryIO, stream)

    def mode(self, path: str) -> int | None:
        """A file's permissions."""
        return Path(self.state.path(path)).stat().st_mode & 0o777 if self.is_local else None


def save_place(store: BackupStore, place: FilePlace, *, skipped: frozenset[str]) -> SavedPart:
    """Copy every file of a place but those `skipped`; one that goes away meanwhile is left out."""
    known, done = store.known(), list[SavedFile]()
    files = [info for info in place.listing() if place.path_of(info) not in skipped]

    def all_known() -> dict[tuple[str, str], SavedFile]:
        return known | {(place.home, file.path): file for file in done}

    with ThreadPoolExecutor(_AT_ONCE) as pool, Progress(place.name, unit="file", total=len(files)) as progress:
        for saved in pool.map(partial(_save, store, place, known), files):
            progress.update()
            if saved:
                done.append(saved)
                store.note(all_known)
    store.note(all_known, now=True)
    return SavedPart(name=place.name, home=place.home, files=tuple(done))


def _save(
    store: BackupStore, place: FilePlace, known: dict[tuple[str, str], SavedFile], info: FileInfo
) -> SavedFile | None:
    path = place.path_of(info)
    before = known.get((place.home, path))
    if (
        before
        and (before.size, before.modified) == (info.size, info.mtime_ns)
        and store.holds(before.sha256, before.size)
    ):
        return before
    try:
        sha256, size = store.put(partial(place.open, path))
        # A file that changed a moment ago may change again within the same tick of the store's clock.
        settled = time.time_ns() - (info.mtime_ns or 0) > _SETTLED_NS
        modified = (info.mtime_ns or 0) if settled else 0
        return SavedFile(path=path, size=size, sha256=sha256, modified=modified, mode=place.mode(path))
    except FileNotFoundError:
        return None


def put_back(store: BackupStore, place: FilePlace, part: SavedPart) -> tuple[int, int]:
    """Make a place hold what a part holds, and nothing else; gives how many files were written and removed.

    What is there already with the same content stays, so that a second run only does the rest.
    """
    if place.private:
        Path(place.state.base).mkdir(parents=True, exist_ok=True)
        Path(place.state.base).chmod(0o700)
    there = {place.path_of(info): info for info in place.listing()}
    written = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool, Progress(place.name, unit="file", total=len(part.files)) as progress:
        for wrote in pool.map(lambda file: _put(store, place, file, there.get(file.path)), part.files):
            progress.update()
            written += wrote
    extra = there.keys() - {file.path for file in part.files}
    for path in extra:
        place.state.filesystem.delete_file(place.state.path(path))
    return written, len(extra)


def _put(store: BackupStore, place: FilePlace, file: SavedFile, there: FileInfo | None) -> bool:
    if there and there.size == file.size and _digest(place, file.path) == file.sha256:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "content"
        store.fetch(file, copy)
        with copy.open("rb") as content:
            write_atomically(place.state.filesystem, place.state.path(file.path), content)
    if file.mode is not None and place.is_local:
        Path(place.state.path(file.path)).chmod(file.mode)
    return True


def _digest(place: FilePlace, path: str) -> str:
    digest = hashlib.sha256()
    with place.open(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
