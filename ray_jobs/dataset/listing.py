"""Every file of a source in the order of paths, on disk, so that memory stays flat however many there are."""

import sqlite3
from collections.abc import Iterator
from itertools import islice

from ray_jobs.dataset.entry import Entry, Source

_TABLE = """
PRAGMA cache_size = -8000;
PRAGMA synchronous = OFF;
PRAGMA journal_mode = OFF;
CREATE TABLE file (path BLOB PRIMARY KEY, size INTEGER, version TEXT) WITHOUT ROWID;
"""


class Listing:
    """The files of one source as they are now; the scratch file goes when the listing does."""

    def __init__(self, source: Source) -> None:
        self._db = sqlite3.connect("")  # a private file, removed by SQLite itself
        self._db.executescript(_TABLE)
        # As bytes, since a name may be no UTF-8; they are in the order of the texts.
        rows = ((entry.path.encode("utf-8", "surrogatepass"), entry.size, entry.version) for entry in source.entries())
        self._db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", rows)

    def __len__(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM file").fetchone()[0])

    def __iter__(self) -> Iterator[Entry]:
        for path, size, version in self._db.execute("SELECT path, size, version FROM file ORDER BY path"):
            yield Entry(path=path.decode("utf-8", "surrogatepass"), size=size, version=version)

    def batches(self, size: int) -> Iterator[tuple[str, ...]]:
        """The paths, so many at a time."""
        paths = (entry.path for entry in self)
        while batch := tuple(islice(paths, size)):
            yield batch
