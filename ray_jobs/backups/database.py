"""MLflow's database in a backup: a copy of one moment while others write, and the way back in one step."""

import contextlib
import os
import shlex
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from filelock import FileLock

from ray_jobs.backups.saved import BackupError
from registry.addresses import database_file, shown

# The columns in which MLflow keeps where files are, as `sqlite:///` databases have them: a folder of the machine.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_BUSY_S = 60.0
# In the transaction of the restore: either all of the old is gone and all of the copy is there, or nothing changed.
_EMPTY = f"SET lock_timeout = '{_BUSY_S:g}s';\nDROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"


class CopyableDatabase(Protocol):
    """A database that can be copied into a file, and put back from one."""

    @property
    def home(self) -> str:
        """What it is known by: a path or an address."""

    def exists(self) -> bool:
        """Whether there is anything to copy."""

    def is_sound(self) -> bool:
        """Whether it can be read, as far as that can be told."""

    def dump(self, file: Path) -> None:
        """Write a copy of one moment; raises BackupError."""

    def load(self, file: Path, *, home: str) -> str:
        """Put a copy back that was made at `home`; says what a person has to do then. Raises BackupError."""


def database_of(address: str, *, through: Sequence[str] = ()) -> "CopyableDatabase":
    """The database of an address: `sqlite:///FILE`, `postgresql://…` or `rds:INSTANCE`.

    `through` is put before commands of Postgres, such as `docker exec --interactive CONTAINER`.

    Raises
    ------
    BackupError
        For an address of a server, behind which the database cannot be seen.
    """
    if file := database_file(address):
        return SqliteDatabase(file=file.resolve())
    if address.startswith("postgresql"):
        return PostgresDatabase(url=sa.make_url(address), through=tuple(through))
    if address.startswith("rds:"):
        return RdsDatabase(instance=address.removeprefix("rds:"))
    raise BackupError(
        f"the database behind {shown(address)} cannot be reached from here. For a stack use make backup STACK=local or "
        "STACK=aws; else name the database, as in --database postgresql://USER@HOST/NAME"
    )


@dataclass(frozen=True, kw_only=True)
class SqliteDatabase:
    """A file. Copies are made through SQLite's own backup, which sees one moment and changes all or nothing."""

    file: Path

    @property
    def home(self) -> str:
        """Its path."""
        return str(self.file)

    def exists(self) -> bool:
        return self.file.exists() and self.file.stat().st_size > 0

    def is_sound(self) -> bool:
        try:
            with _opened(self.file) as database:
                return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False

    def dump(self, file: Path) -> None:
        with _explained(self.home), _opened(self.file) as ours, _opened(file) as copy:
            ours.backup(copy)

    def load(self, file: Path, *, home: str) -> str:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with (
            _explained(self.home),
            FileLock(f"{self.file}.lock"),
            tempfile.TemporaryDirectory(dir=self.file.parent) as scratch,
        ):
            copy = Path(scratch) / "copy.db"
            shutil.copyfile(file, copy)
            with _opened(copy) as database:
                _move_addresses(database, Path(home).parent / "artifacts", self.file.parent / "artifacts")
            if not self.exists():
                copy.replace(self.file)
            elif not self.is_sound():
                # In its place, because who has it open would go on with a file that was put aside.
                shutil.copyfile(self.file, f"{self.file}.broken-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
                shutil.copyfile(copy, self.file)
            else:
                with _opened(copy) as ours, _opened(self.file) as live:
                    ours.backup(live)
        return ""


def _opened(file: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(file, timeout=_BUSY_S))


def _move_addresses(database: sqlite3.Connection, before: Path, now: Path) -> None:
    """Let what names files below one folder name them below another, for a copy that moved to another place."""
    if before == now:
        return
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for old, new in ((before.as_uri(), now.as_uri()), (str(before), str(now))):
        for table, column in _ADDRESSES:
            if table in tables:
                changed = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"  # noqa: S608
                database.execute(changed, (new, len(old) + 1, len(old), old))
    database.commit()


@contextlib.contextmanager
def _explained(home: str) -> Any:
    try:
        yield
    except sqlite3.Error as error:
        raise BackupError(f"the database {home} cannot be copied: {error}; end what holds it, and try again") from error


@dataclass(frozen=True, kw_only=True)
class PostgresDatabase:
    """A database on a server, by Postgres' own programs; those of the server's version or newer."""

    url: sa.URL
    through: tuple[str, ...] = ()

    @property
    def home(self) -> str:
        """Its address without a password, whatever driver it names."""
        return self.url.set(drivername="postgresql", password=None).render_as_string()

    def exists(self) -> bool:
        return True

    def is_sound(self) -> bool:
        return True

    def dump(self, file: Path) -> None:
        with file.open("wb") as copy:
            self._run("pg_dump", "--no-owner", "--no-privileges", stdout=copy)

    def load(self, file: Path, *, home: str) -> str:  # noqa: ARG002  addresses in it name MLflow's server
        with tempfile.TemporaryFile() as script:
            script.write(_EMPTY.encode())
            with file.open("rb") as copy:
                shutil.copyfileobj(copy, script)
            script.seek(0)
            settings = ("--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
            self._run("psql", *settings, stdin=script)
        return ""

    def _run(self, program: str, *arguments: str, **streams: Any) -> None:
        url = self.url
        where = {"--host": url.host, "--port": url.port, "--username": url.username}
        named = [f"{option}={value}" for option, value in where.items() if value]
        command = [*self.through, program, *named, *arguments, url.database or "postgres"]
        password = {"PGPASSWORD": str(url.password)} if url.password else {}
        try:
            done = subprocess.run(  # noqa: S603
                command, env=os.environ | password, stderr=subprocess.PIPE, check=False, **streams
            )
        except FileNotFoundError:
            raise BackupError(
                f"the command {command[0]} is not on the PATH; install it (Debian: apt-get install postgresql-client)"
            ) from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {done.returncode}"]
            raise BackupError(f"{shlex.join([*self.through, program])} of {self.home} failed: {lines[0]}")


@dataclass(frozen=True, kw_only=True)
class RdsDatabase:
    """A database on RDS: AWS keeps the copy as a snapshot, and the backup its name."""

    instance: str

    @property
    def home(self) -> str:
        """The instance."""
        return f"rds:{self.instance}"

    def exists(self) -> bool:
        return True

    def is_sound(self) -> bool:
        return True

    def dump(self, file: Path) -> None:
        client, name = self._client(), f"{self.instance}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        with _aws_errors_explained(self.instance):
            client.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=self.instance)
            client.get_waiter("db_snapshot_completed").wait(
                DBSnapshotIdentifier=name, WaiterConfig={"Delay": 15, "MaxAttempts": 240}
            )
        file.write_text(name)

    def load(self, file: Path, *, home: str) -> str:  # noqa: ARG002
        name = file.read_text().strip()
        with _aws_errors_explained(name):
            self._client().describe_db_snapshots(DBSnapshotIdentifier=name)
        return name

    def _client(self) -> Any:
        import boto3  # noqa: PLC0415  heavy, and only AWS needs it

        return boto3.session.Session().client("rds")


@contextlib.contextmanager
def _aws_errors_explained(what: str) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError, WaiterError  # noqa: PLC0415

    try:
        yield
    except (BotoCoreError, ClientError, WaiterError) as error:
        raise BackupError(
            f"RDS refuses {what}: {error}; check the region and the rights of your credentials"
        ) from error
