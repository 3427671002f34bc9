"""The pictures below a folder of this machine; links are followed, and none leads round in a circle."""

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ray_jobs.dataset.entry import Entry, hidden
from ray_jobs.dataset.errors import EntryError, SourceError

# Device and inode: what stays the same under every name of a folder.
_Identity = tuple[int, int]


@dataclass(frozen=True)
class FolderSource:
    """The files below a folder.

    Each folder is listed once, under its real path where that lies below ``root``, otherwise under the shortest link to
    it. A link to ``root`` itself or to a folder above it leads round in a circle and is passed over.
    """

    uri: str
    root: str

    @property
    def name(self) -> str:
        return Path(self.root).name

    def entries(self) -> Iterator[Entry]:
        if not Path(self.root).is_dir():
            raise SourceError(missing_folder(self.root))
        seen = {_identity(folder) for folder in (Path(self.root), *Path(self.root).parents)}
        links: deque[str] = deque()
        yield from self._walk("", seen, links)
        while links:  # after every real path, and those nearer the top first
            link = links.popleft()
            identity = _identity(Path(self.root, link))
            if identity not in seen:
                seen.add(identity)
                yield from self._walk(f"{link}/", seen, links)

    def read(self, path: str) -> bytes:
        file = Path(self.root, path)
        try:
            if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for forever
                raise EntryError(f"{path} is no regular file")
            return file.read_bytes()
        except OSError as error:
            if not Path(self.root).is_dir():
                raise SourceError(missing_folder(self.root)) from error
            raise EntryError(f"{path} cannot be read: {error.strerror or error}") from error

    def _walk(self, top: str, seen: set[_Identity], links: deque[str]) -> Iterator[Entry]:
        """The files below one folder, real paths only; links to folders are put by for later."""
        pending = deque([top])
        while pending:
            folder, aside = pending.popleft(), []
            for item in _scan(f"{self.root}/{folder}"):
                path = f"{folder}{item.name}"
                if hidden(item.name):
                    continue
                status = _status(item)
                if status is None or not stat.S_ISDIR(status.st_mode):
                    yield _entry(path, status, linked=item.is_symlink())
                elif item.is_symlink():
                    aside.append(path)
                elif (identity := (status.st_dev, status.st_ino)) not in seen:
                    seen.add(identity)
                    pending.append(f"{path}/")
            links.extend(sorted(aside))  # the system gives them in any order


def missing_folder(name: str) -> str:
    """Why a folder cannot be used that is none."""
    if Path(name).is_file():
        return f"{name!r} is a file, not a folder"
    remedy = "Ray workers on other machines need s3://, see `make upload`"
    return f"the folder {name!r} does not exist on this machine ({remedy})"


def _identity(folder: Path) -> _Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _scan(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            yield from items
    except OSError as error:
        raise SourceError(f"the folder {folder!r} cannot be listed: {error.strerror or error}") from error


def _status(item: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return item.stat()
    except OSError:  # a link that leads nowhere, or only to itself
        return None


def _entry(path: str, status: os.stat_result | None, *, linked: bool) -> Entry:
    if status is None or not stat.S_ISREG(status.st_mode):  # listed all the same, so that the report says what it is
        return Entry(path=path, size=-1, version="missing", linked=linked)
    return Entry(path=path, size=status.st_size, version=f"{status.st_mtime_ns}-{status.st_size}", linked=linked)
