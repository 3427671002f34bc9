"""A scratch table of every file of a source, on disk, so that memory stays flat however many there are."""

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import sha256

import pyarrow as pa
from pyarrow.fs import FileType

from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.layout import LABELS, contradiction, place
from ray_jobs.dataset.manifest import BATCH, QUARANTINE_SCHEMA, ROW_GROUP, SCHEMA, Manifest
from ray_jobs.dataset.parquet import read_batches
from ray_jobs.dataset.quarantine import Reason
from ray_jobs.dataset.split import is_held_out, same_patient

_TABLES = """
PRAGMA cache_size = -8000;
PRAGMA synchronous = OFF;
PRAGMA journal_mode = OFF;
CREATE TABLE file (
    path TEXT PRIMARY KEY, size INTEGER, version TEXT, linked INTEGER,
    label TEXT, role TEXT, patient TEXT, twin TEXT,
    sha256 TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT ''
);
CREATE TABLE before (path TEXT PRIMARY KEY, size INTEGER, version TEXT, sha256 TEXT, reason TEXT, detail TEXT);
"""

_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz")
# A verdict that follows from the content alone holds for as long as the content is unchanged.
_LASTING = (Reason.NOT_AN_IMAGE.value,)


class Catalogue:
    """The files of one source while its manifest is built; close it, and it is gone."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # A private file, removed by SQLite itself.
        self._db.executescript(_TABLES)
        self._db.create_function("held_out", 1, is_held_out, deterministic=True)
        self._db.create_function("same_patient", 1, same_patient, deterministic=True)
        self._db.create_function("folder_of", 1, _folder_of, deterministic=True)

    def close(self) -> None:
        self._db.close()

    def take(self, source: Source) -> None:
        """Take in every entry, without those that the archive holds a second time.

        Where one of these has another size than what it should repeat, the repeated folder is no copy: another lot of
        X-rays was unpacked into it, or a copy was cut short. Then all are taken in, and their content decides.
        """
        self._db.executemany(
            "INSERT OR REPLACE INTO file (path, size, version, linked, label, role, patient, twin, reason, detail) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _listed(source),
        )
        pairs = "FROM file JOIN file other ON other.path = file.twin"
        if not self._db.execute(f"SELECT 1 {pairs} WHERE other.size <> file.size LIMIT 1").fetchone():
            self._db.execute(f"DELETE FROM file WHERE path IN (SELECT file.path {pairs})")  # noqa: S608 - ours

    def reuse(self, previous: Manifest) -> None:
        """Take hashes from an earlier manifest and its report wherever path, size and version are the same."""
        rows = _before(previous)
        self._db.executemany("INSERT OR IGNORE INTO before VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._db.execute(
            "UPDATE file SET sha256 = before.sha256, reason = before.reason, detail = before.detail, "
            "size = before.size FROM before WHERE file.reason = '' AND file.path = before.path "
            "AND file.version = before.version AND file.size IN (before.size, -1)"
        )

    def labels(self) -> set[str]:
        """The labels that occur at all."""
        return {label for (label,) in self._db.execute("SELECT DISTINCT label FROM file WHERE label <> ''")}

    def unlabelled_folders(self, limit: int) -> list[str]:
        """Up to ``limit`` names of folders that hold files and stand below no label folder."""
        query = (
            "SELECT DISTINCT folder_of(path) AS folder FROM file WHERE label = '' AND folder <> '' "
            "ORDER BY folder LIMIT ?"
        )
        return [folder for (folder,) in self._db.execute(query, (limit,))]

    def archive(self) -> str:
        """The name of a file below no label folder that is named as archives are; empty where there is none."""
        named = " OR ".join(f"path LIKE '%{ending}'" for ending in _ARCHIVES)
        query = f"SELECT path FROM file WHERE label = '' AND ({named}) ORDER BY path LIMIT 1"  # noqa: S608 - ours
        return str(next(iter(self._db.execute(query)), ("",))[0])

    def count(self, *, hashed: bool) -> int:
        """How many entries that are not quarantined have been read, or have yet to be."""
        query = "SELECT COUNT(*) FROM file WHERE reason = '' AND (sha256 <> '') = ?"
        return int(self._db.execute(query, (hashed,)).fetchone()[0])

    def unhashed(self, limit: int) -> Iterator[list[tuple[str, int]]]:
        """Path and size of the entries that must be read, in order of path, ``limit`` at a time."""
        after = ""
        while rows := self._db.execute(
            "SELECT path, size FROM file WHERE sha256 = '' AND reason = '' AND path > ? ORDER BY path LIMIT ?",
            (after, limit),
        ).fetchall():
            after = rows[-1][0]
            yield rows

    def record(self, findings: Iterable[tuple[str, int, str, str, str]]) -> None:
        """Store ``(sha256, size, reason, detail, path)`` of entries that were read."""
        self._db.executemany("UPDATE file SET sha256 = ?, size = ?, reason = ?, detail = ? WHERE path = ?", findings)

    def settle(self) -> None:
        """Settle what only the whole shows: one spelling a patient, the same bytes twice, patients in ``test/``."""
        self._unify_patients()
        self._db.executescript(
            "CREATE INDEX by_content ON file (sha256);"
            "CREATE TABLE repeated AS SELECT sha256 FROM file WHERE reason = '' GROUP BY sha256 HAVING COUNT(*) > 1;"
            "CREATE TABLE first AS SELECT sha256, label, MIN(path) AS path FROM file WHERE reason = '' "
            "AND sha256 IN (SELECT sha256 FROM repeated) GROUP BY sha256, label;"
        )
        self._db.execute(
            "UPDATE file SET reason = ?, detail = 'the same bytes stand under the other label as ' || first.path "
            "FROM first WHERE first.sha256 = file.sha256 AND first.label <> file.label AND file.reason = ''",
            (Reason.CONFLICTING_LABELS.value,),
        )
        self._db.execute(
            "WITH ranked AS (SELECT path, FIRST_VALUE(path) OVER "
            "(PARTITION BY sha256 ORDER BY role = 'train', linked, path) AS kept "
            "FROM file WHERE sha256 IN (SELECT sha256 FROM repeated) AND reason = '') "
            "UPDATE file SET reason = ?, detail = 'the same bytes as ' || ranked.kept FROM ranked "
            "WHERE file.path = ranked.path AND ranked.kept <> file.path",
            (Reason.DUPLICATE.value,),
        )
        self._db.execute(
            "UPDATE file SET reason = ?, "
            "detail = 'patient ' || patient || ', whom the file name tells, stands in test/ as well' "
            "WHERE reason = '' AND role = 'train' AND patient IN (SELECT patient FROM file WHERE role = 'test')",
            (Reason.PATIENT_IN_TEST.value,),
        )

    def _unify_patients(self) -> None:
        """Give a patient whose id is spelled in several ways, such as ``P7`` and ``p7``, one of them.

        It is the spelling of most pictures, and of equals the last in order. An id of one spelling stays as it is, so
        that its side stays what it was.
        """
        self._db.execute(
            "CREATE TABLE spelling AS SELECT folded, patient FROM (SELECT same_patient(patient) AS folded, patient, "
            "ROW_NUMBER() OVER (PARTITION BY same_patient(patient) ORDER BY COUNT(*) DESC, patient DESC) AS place, "
            "COUNT(*) OVER (PARTITION BY same_patient(patient)) AS spellings "
            "FROM file WHERE reason = '' GROUP BY patient) WHERE place = 1 AND spellings > 1"
        )
        if self._db.execute("SELECT 1 FROM spelling").fetchone():
            self._db.execute(
                "UPDATE file SET patient = spelling.patient FROM spelling "
                "WHERE same_patient(file.patient) = spelling.folded AND file.patient <> spelling.patient"
            )

    def digest(self) -> str:
        """The dataset digest (see :class:`~ray_jobs.dataset.manifest.Manifest`)."""
        found = sha256()
        for row in self._db.execute("SELECT sha256, label, patient, role FROM file WHERE reason = '' ORDER BY sha256"):
            # Lengths before the texts, so that no two tables of rows give the same bytes.
            found.update("".join(f"{len(text)}:{text}" for text in row).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    def quarantined(self) -> dict[str, int]:
        rows = self._db.execute("SELECT reason, COUNT(*) FROM file WHERE reason <> '' GROUP BY reason ORDER BY reason")
        return dict(rows.fetchall())

    def sides(self) -> Iterator[tuple[str, str, int, int]]:
        """``(side, label, pictures, patients)`` of what is used."""
        yield from self._db.execute(
            "SELECT CASE WHEN role = 'test' THEN 'test' WHEN held_out(patient) THEN 'held-out' ELSE 'train' END AS "
            "side, label, COUNT(*), COUNT(DISTINCT patient) FROM file WHERE reason = '' GROUP BY side, label"
        )

    def used(self) -> Iterator[pa.RecordBatch]:
        """The rows of the manifest, sorted by sha256."""
        return self._batches(SCHEMA, "reason = '' ORDER BY sha256")

    def unused(self) -> Iterator[pa.RecordBatch]:
        """The rows of the quarantine report, sorted by path."""
        return self._batches(QUARANTINE_SCHEMA, "reason <> '' ORDER BY path")

    def _batches(self, schema: pa.Schema, where: str) -> Iterator[pa.RecordBatch]:
        cursor = self._db.execute(f"SELECT {', '.join(schema.names)} FROM file WHERE {where}")  # noqa: S608 - ours
        while rows := cursor.fetchmany(ROW_GROUP):
            columns = zip(zip(*rows, strict=True), schema.types, strict=True)
            yield pa.RecordBatch.from_arrays([pa.array(*column) for column in columns], schema=schema)


def _listed(source: Source) -> Iterator[tuple[str | int | None, ...]]:
    name = source.name
    for entry in source.entries():
        path = entry.path.encode("utf-8", "backslashreplace").decode()
        found = place(path, source_name=name)
        reason = detail = ""
        if path != entry.path:
            reason, detail = Reason.UNREADABLE.value, "the file name is not UTF-8; rename the file"
        elif found is None:
            reason, detail = Reason.NO_LABEL_FOLDER.value, _unlabelled(path)
        elif wrong := contradiction(path.rpartition("/")[2], found.label):
            reason, detail = Reason.LABEL_CONTRADICTS_NAME.value, wrong
        labelled = (found.label, found.role, found.patient, found.twin) if found else ("", "", "", None)
        yield path, entry.size, entry.version, entry.linked, *labelled, reason, detail


def _unlabelled(path: str) -> str:
    folder = _folder_of(path)
    stands = f"stands in {folder!r}" if folder else "stands at the top"
    return f"{stands}, not below a folder named {' or '.join(LABELS)}"


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0].rpartition("/")[2]


def _before(previous: Manifest) -> Iterator[tuple[str | int, ...]]:
    files = previous.filesystem
    for batch in read_batches(files, previous.path, BATCH):  # a file that another job has replaced says as much
        for path, size, version, content in zip(
            *(batch.column(name).to_pylist() for name in ("path", "size", "version", "sha256")), strict=True
        ):
            yield path, size, version, content, "", ""
    if files.get_file_info(previous.quarantine_path).type != FileType.File:
        return
    for batch in read_batches(files, previous.quarantine_path, ROW_GROUP):
        for row in batch.to_pylist():
            if row["sha256"] and row["version"]:
                lasting = row["reason"] in _LASTING
                verdict = (row["reason"], row["detail"]) if lasting else ("", "")
                yield row["path"], row["size"], row["version"], row["sha256"], *verdict
