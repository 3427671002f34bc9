"""The database of MLflow's records: its first use by one process at a time, whole or not at all."""

import contextlib
import itertools
import logging
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic.util import CommandError
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from registry.addresses import database_file, shown, sqlite_address
from registry.process.reach import reach_tracking
from registry.settings import SettingsError

log = logging.getLogger(__name__)

_WAIT_S, _PATIENCE_S = 1.0, 300.0
_HEADER = b"SQLite format 3\0"
_BESIDE = ("", "-journal", "-wal", "-shm")
# Any number does that nothing else on the server locks by.
_ADVISORY = 7_205_114_803
# What MLflow raises, and the libraries below it.
STORE_ERRORS = (sqlite3.Error, sa.exc.SQLAlchemyError, CommandError, MlflowException)
_OURS = threading.Lock()
_ready: set[str] = set()


class StoreError(SettingsError, OSError):
    """The database of MLflow's records cannot be used; the message says why and what to do."""


def connected(address: str, *, variable: str) -> MlflowClient:
    """A client of a tracking server or database that answers; the first use of a database makes it.

    MLflow makes and migrates its tables without a lock, and a process that dies meanwhile leaves a database that none
    can use. Here a file is made aside and put in place when it is complete, and only one process does it at a time.

    Raises
    ------
    StoreError, UnreachableError
        In a line, whatever library below MLflow failed.
    """
    with _OURS:
        if address not in _ready:
            reach_tracking(address, variable=variable)
            with _in_a_line(address, variable):
                _make_ready(address)
            _ready.add(address)
    with _in_a_line(address, variable):
        return MlflowClient(tracking_uri=address, registry_uri=address)


def _make_ready(address: str) -> None:
    if (file := database_file(address)) is not None:
        _make_file(file)
    elif address.startswith("sqlite"):
        raise StoreError("it names no file, so that all would be gone with the job; it takes sqlite:///PATH")
    elif address.startswith("postgresql"):
        with _alone_on_the_server(address):
            _open(address)
        return
    if "://" in address and not address.startswith("http"):
        _open(address)


def _open(address: str) -> None:
    """Let MLflow open both of its stores, which makes tables where there are none."""
    client = MlflowClient(tracking_uri=address, registry_uri=address)
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)


def _make_file(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with _alone_with(file):
        if file.exists() and file.stat().st_size:
            if not _is_unfinished(file):
                return
            aside = f"{file.name}.unfinished-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
            log.warning(
                "%s holds a first use that was interrupted; it is kept as %s and a new one is made.", file, aside
            )
            for ending in _BESIDE:
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{file}{ending}").rename(file.with_name(f"{aside}{ending}"))
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415 - only a first use needs it

        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as scratch:
            made = Path(scratch) / file.name
            store = SqlAlchemyStore(sqlite_address(made), (file.resolve().parent / "artifacts").as_uri())
            store.engine.dispose()
            made.replace(file)


def _is_unfinished(file: Path) -> bool:
    """Whether a database was begun by MLflow and holds nothing: its first experiment comes last of a first use."""
    with file.open("rb") as stream:
        if stream.read(len(_HEADER)) != _HEADER:
            raise StoreError(f"{file} is not an SQLite database; move it away, or name another file")
    with contextlib.closing(sqlite3.connect(file)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables & {"alembic_version", "experiments", "metrics"}:
            return False  # somebody else's; MLflow adds its tables to those that are there
        holding = tables & {"experiments", "runs", "registered_models"}
        return all(database.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() is None for name in holding)  # noqa: S608


@contextlib.contextmanager
def _alone_with(file: Path) -> Iterator[None]:
    """Let one process at a time look whether a database is there and make it; tell who waits."""
    lock = FileLock(f"{file}.lock")
    try:
        try:
            lock.acquire(timeout=_WAIT_S)
        except Timeout:
            Path(lock.lock_file).open("r+b").close()  # one that nobody can open is not another's, but waited for too
            log.warning("Another process is making the tracking database %s; waiting for it to be done.", file)
            lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        raise StoreError(
            f"another process has held {lock.lock_file} for {_PATIENCE_S:g} s; end the job that stands still, and try "
            "again"
        ) from None
    except OSError:
        if not os.access(file, os.R_OK):
            raise
        yield  # a folder that cannot be written to: what is there can be read all the same
        return
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _alone_on_the_server(address: str) -> Iterator[None]:
    # Without a transaction, and asking again rather than waiting in the server, so that no migration waits for it.
    engine = sa.create_engine(address, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    taken, end = sa.text("SELECT pg_try_advisory_lock(:key)"), time.monotonic() + _PATIENCE_S
    with engine.connect() as connection:
        for attempt in itertools.count():
            if connection.scalar(taken, {"key": _ADVISORY}):
                break
            if attempt == 0:
                log.warning("Another process is making the tracking database; waiting for it to be done.")
            if time.monotonic() > end:
                raise StoreError(
                    f"another process has been making it for {_PATIENCE_S:g} s; end the one that stands still"
                )
            time.sleep(_WAIT_S)
        yield  # the lock ends with the connection


@contextlib.contextmanager
def _in_a_line(address: str, variable: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise StoreError(
            f"{variable} is {shown(address)!r}, whose driver is not installed here ({error}); install it, or name one "
            "that is, as postgresql+psycopg2://USER@HOST/DATABASE does"
        ) from error
    except (StoreError, OSError, *STORE_ERRORS) as error:
        raise StoreError(f"{variable} is {shown(address)!r}, which cannot be used: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says without the statement and the traceback that libraries add below."""
    text = str(error.orig) if isinstance(error, sa.exc.DBAPIError) and error.orig else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]
