"""Back up everything that the system keeps: `python -m ray_jobs.backup --to FOLDER`, or `--to s3://BUCKET/PREFIX`.

It may run while the system does. A killed backup leaves none; the next one copies only what is left.
"""

import argparse

from ray_jobs.backups.command import add_places, database_in, open_store, places_in
from ray_jobs.backups.save import save
from ray_jobs.backups.saved import BackupError
from ray_jobs.runtime.cli import positive, run_job
from registry.settings import Settings


def main() -> None:
    """The job; it needs no Ray."""
    run_job(
        _job,
        module="ray_jobs.backup",
        description="Back up MLflow's database, its files, and STATE_URI with the history of Production. What a backup "
        "before has already is not copied again.",
        data=False,
        uses=(),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="URI", required=True, help="a folder or s3://bucket/prefix for all backups")
    parser.add_argument("--keep", metavar="N", type=positive, help="remove all but the newest N backups afterwards")
    add_places(parser)


def _job(settings: Settings, options: argparse.Namespace) -> None:
    store = open_store(options.to, option="--to", make=True)
    if begun := store.restoring():
        raise BackupError(
            f"a restore of {begun.backup} did not end, so what is there is half of it; finish it first: "
            f"python -m ray_jobs.restore --from {options.to}"
        )
    database = database_in(settings, options)
    print(save(store, database=database, places=places_in(settings, options, database)))
    if options.keep and (removed := store.prune(options.keep)):
        print(f"{removed} older backups were removed")


if __name__ == "__main__":
    main()
