"""Put a backup back: `python -m ray_jobs.restore --from FOLDER`; `--list` and `--verify` only look at the backups.

Everything is checked before anything is changed, and what is there is backed up first. A killed restore is finished by
the next one. End jobs before; serving may go on, and follows within seconds.
"""

import argparse

from ray_jobs.backups.command import add_places, database_in, open_store, places_in
from ray_jobs.backups.restore import restore
from ray_jobs.backups.store import BackupStore
from ray_jobs.runtime.cli import run_job
from ray_jobs.runtime.progress import Progress
from registry.settings import Settings


def main() -> None:
    """The job; it needs no Ray."""
    run_job(
        _job,
        module="ray_jobs.restore",
        description="Put back what ray_jobs.backup kept. What is there is backed up first.",
        data=False,
        uses=(),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", metavar="URI", dest="source", required=True, help="where the backups are")
    parser.add_argument("--backup", metavar="NAME", default="", help="one of those that --list shows (the newest)")
    parser.add_argument("--only", metavar="PART", nargs="+", default=[], help="only these parts of it")
    look = parser.add_mutually_exclusive_group()
    look.add_argument("--list", action="store_true", help="show the backups, and change nothing")
    look.add_argument("--verify", action="store_true", help="read all of a backup, and change nothing")
    add_places(parser)


def _job(settings: Settings, options: argparse.Namespace) -> None:
    store = open_store(options.source, option="--from", make=False)
    if options.list:
        print("\n".join(str(store.read(name)) for name in store.names()) or f"{store.shown} holds no backup.")
    elif options.verify:
        _verify(store, options.backup)
    else:
        _restore(settings, store, options)


def _verify(store: BackupStore, name: str) -> None:
    backup = store.read(name)
    files = [file for part in backup.parts for file in part.files]
    with Progress("checking", unit="file", total=len(files)) as progress:
        store.check(files, progress.update)
    print(f"{backup}\n{len(files)} files are what their digests say")


def _restore(settings: Settings, store: BackupStore, options: argparse.Namespace) -> None:
    database = database_in(settings, options)
    places = places_in(settings, options, database)
    done = restore(store, name=options.backup, only=options.only, database=database, places=places)
    print("\n".join([f"restored {done.backup.name}", *done.notes]))
    for before in done.before:
        print(f"before  what was there is the backup {before}; --backup {before} brings it back")
    if done.database:
        print(f"snapshot {done.database}")
    print("next    python -m ray_jobs.history --verify")


if __name__ == "__main__":
    main()
