"""Open the place that ``DATA_URI`` names: a folder here, the other schemes in modules of their own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ray_jobs.dataset.entry import Entry, Source, hidden
from ray_jobs.dataset.errors import EntryError, SourceError
from ray_jobs.dataset.kaggle_source import download
from ray_jobs.dataset.s3_source import S3Source
from ray_jobs.dataset.synthetic_source import SyntheticSource

TAKEN = (
    "a folder (../xrays), s3://bucket/prefix, kaggle:owner/name (kaggle:paultimothymooney/chest-xray-pneumonia) "
    "or synthetic:COUNT (synthetic:600)"
)

# Deeper than any layout that is taken, and an end to links that lead back up.
_MAX_DEPTH = 12


@dataclass(frozen=True)
class FolderSource:
    """The files below a folder of this machine, links followed."""

    uri: str
    root: str

    @property
    def name(self) -> str:
        return Path(self.root).name

    def entries(self) -> Iterator[Entry]:
        if not Path(self.root).is_dir():
            raise SourceError(_missing_folder(self.root))
        pending = [("", 0)]
        while pending:
            folder, depth = pending.pop()
            for item in _scan(f"{self.root}/{folder}"):
                path = f"{folder}{item.name}"
                if hidden(item.name):
                    continue
                if not item.is_dir():
                    yield _entry(path, item)
                elif depth < _MAX_DEPTH:
                    pending.append((f"{path}/", depth + 1))

    def read(self, path: str) -> bytes:
        try:
            return Path(self.root, path).read_bytes()
        except OSError as error:
            if not Path(self.root).is_dir():
                raise SourceError(_missing_folder(self.root)) from error
            raise EntryError(f"{path} cannot be read: {error.strerror or error}") from error


def open_source(uri: str) -> Source:
    """The source that ``uri`` names; what it holds is only looked at when its entries are asked for.

    ``kaggle:`` downloads the dataset here, or finds it in the cache of ``kagglehub``.

    Raises
    ------
    SourceError
        The scheme is unknown, the folder is missing, the count is out of range, or the download fails.
    """
    scheme, separator, rest = uri.strip().partition(":")
    if not uri.strip():
        raise SourceError(f"DATA_URI is empty; it takes {TAKEN}")
    if separator and scheme == "s3":
        return S3Source.from_uri(uri.strip())
    if separator and scheme == "kaggle":
        return FolderSource(uri=uri.strip(), root=download(rest))
    if separator and scheme == "synthetic":
        return SyntheticSource.from_count(rest)
    if separator and rest.startswith("//") and scheme != "file":
        raise SourceError(f"DATA_URI {uri!r}: scheme {scheme!r} is not known; it takes {TAKEN}")
    return _open_folder(uri.strip().removeprefix("file://"))


def _open_folder(name: str) -> FolderSource:
    root = Path(name).expanduser().resolve()
    if not root.is_dir():
        raise SourceError(_missing_folder(name))
    return FolderSource(uri=str(root), root=str(root))


def _missing_folder(name: str) -> str:
    if Path(name).is_file():
        return f"{name!r} is a file, not a folder; DATA_URI takes {TAKEN}"
    remedy = "Ray workers on other machines need s3://, see `make upload`"
    return f"the folder {name!r} does not exist on this machine ({remedy}); DATA_URI takes {TAKEN}"


def _scan(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            yield from items
    except OSError as error:
        raise SourceError(f"the folder {folder!r} cannot be listed: {error.strerror or error}") from error


def _entry(path: str, item: os.DirEntry[str]) -> Entry:
    try:
        status = item.stat()
    except OSError:  # A broken link: listed all the same, so that the report names it.
        return Entry(path=path, size=-1, version="missing")
    return Entry(path=path, size=status.st_size, version=f"{status.st_mtime_ns}-{status.st_size}")
