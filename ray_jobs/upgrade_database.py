"""Upgrade MLflow's database to the MLflow that is installed: `python -m ray_jobs.upgrade_database --backup-to FOLDER`.

The database is backed up first. A file is upgraded as a copy that then takes its place in one step; on Postgres, MLflow
does it in a transaction. A killed upgrade changed nothing, and the next one does it.
"""

import argparse
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from mlflow.db import upgrade as mlflow_db_upgrade

from ray_jobs.backups.command import open_store
from ray_jobs.backups.database import SqliteDatabase, database_of
from ray_jobs.backups.save import save
from ray_jobs.runtime.cli import run_job
from registry.addresses import sqlite_address
from registry.errors import UsageError
from registry.settings import Settings


def main() -> None:
    """The job; it needs no Ray."""
    run_job(
        _job,
        module="ray_jobs.upgrade_database",
        description="Upgrade MLflow's database after a backup of it; end jobs and MLflow's server before.",
        data=False,
        uses=(),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backup-to", metavar="URI", required=True, help="a folder or s3://bucket/prefix for backups")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    address = settings.tracking_uri
    database = database_of(address)
    if not database.exists():
        raise UsageError(f"there is no database at {database.home} yet; the first use makes one that needs no upgrade")
    before = _revision(address)
    kept = save(open_store(options.backup_to, option="--backup-to", make=True), database=database, places=())
    print(f"backup  {kept.name}")
    if isinstance(database, SqliteDatabase):
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / database.file.name
            database.dump(copy)
            _upgrade(sqlite_address(copy))
            database.load(copy, home=database.home)
    else:
        _upgrade(address)
    after = _revision(address)
    print(f"upgraded {database.home} from {before} to {after}" if after != before else f"{database.home} is up to date")


def _upgrade(address: str) -> None:
    """What `mlflow db upgrade` does, in this process: an address on a command line would show its password."""
    with mlflow_db_upgrade.make_context("upgrade", [address]) as context:
        mlflow_db_upgrade.invoke(context)  # not main(), which would make a Ctrl-C an error of its own


def _revision(address: str) -> str:
    """The revision of MLflow's tables, as Alembic has it."""
    with sa.create_engine(address, poolclass=sa.NullPool).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or "none"


if __name__ == "__main__":
    main()
