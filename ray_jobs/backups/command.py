"""What the commands about backups share: where everything is, from the settings or as a stack's command says it."""

import argparse
import configparser
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow.fs import S3FileSystem

from ray_jobs.backups.database import CopyableDatabase, SqliteDatabase, database_of
from ray_jobs.backups.places import FilePlace
from ray_jobs.backups.saved import ARTEFACTS, STATE
from ray_jobs.backups.store import BackupStore
from registry.addresses import local_path
from registry.errors import UsageError
from registry.process.reach import reach_s3
from registry.settings import Settings
from registry.state import State, open_state


def add_places(parser: argparse.ArgumentParser) -> None:
    """Arguments that name what is backed up, where the settings do not: those of a stack."""
    of_a_stack = parser.add_argument_group(
        "where everything is, if not where the settings say (make STACK=… fills it in)"
    )
    of_a_stack.add_argument(
        "--database", metavar="URI", help="postgresql://USER@HOST/NAME, sqlite:///FILE, rds:INSTANCE"
    )
    of_a_stack.add_argument("--artefacts", metavar="URI", help="the folder or bucket of MLflow's files")
    of_a_stack.add_argument("--through", metavar="COMMAND", default="", help="what reaches Postgres' own commands")
    of_a_stack.add_argument(
        "--folder", metavar="NAME=PATH", action="append", default=[], help="one more folder or file"
    )
    of_a_stack.add_argument("--endpoint", metavar="URL", help="the S3 server of the buckets that are backed up")
    of_a_stack.add_argument("--credentials", metavar="FILE", type=Path, help="its credentials, as AWS writes them")


def open_store(uri: str, *, option: str, make: bool) -> BackupStore:
    """The backups at an address; with `make`, the folder is made where there is none, for its owner alone."""
    if not uri:
        raise UsageError(f"{option} is empty; name a folder or s3://bucket/prefix, as in {option} ../backups")
    reach_s3(uri, variable=option)
    if not uri.startswith("s3://"):
        folder = _path(uri, option)
        if make and not folder.exists():
            try:
                folder.mkdir(mode=0o700, parents=True)
            except OSError as error:
                raise UsageError(
                    f"{option} is {uri!r}, which cannot be made: {error.strerror or error}; name a folder of yours, or "
                    "s3://bucket/prefix"
                ) from error
        if not folder.is_dir():
            raise UsageError(f"{option} is {uri!r}, which is no folder; name the one that holds the backups")
    place = open_state(uri, variable=option)
    if make:
        place.try_out()
    return BackupStore(place, shown=uri)


def database_in(settings: Settings, options: argparse.Namespace) -> CopyableDatabase:
    """The database that the options or the settings name."""
    return database_of(options.database or settings.tracking_uri, through=shlex.split(options.through))


def places_in(settings: Settings, options: argparse.Namespace, database: CopyableDatabase) -> list[FilePlace]:
    """Artefacts, state and the folders that the options name."""
    artefacts = options.artefacts
    if not artefacts and isinstance(database, SqliteDatabase):
        artefacts = str(database.file.parent / "artifacts")
    if not artefacts:
        raise UsageError("--artefacts is not set; name the folder or bucket of MLflow's files, as in s3://artefacts")
    places = [
        FilePlace(name=ARTEFACTS, home=artefacts, state=_source(artefacts, "--artefacts", options)),
        FilePlace(name=STATE, home=settings.state_uri, state=_source(settings.state_uri, "STATE_URI", options)),
    ]
    return places + folders_in(options)


def folders_in(options: argparse.Namespace) -> list[FilePlace]:
    """The folders and files that the options name besides."""
    return [_folder(text) for text in options.folder]


def _folder(text: str) -> FilePlace:
    name, separator, path = text.partition("=")
    if not separator or not name or not path or name in (ARTEFACTS, STATE):
        raise UsageError(f"--folder is {text!r}; it takes NAME=PATH, such as secrets=compose/secrets")
    found = Path(path).resolve()
    if found.suffix and not found.is_dir():
        place = State(filesystem=open_state(str(found.parent), variable="--folder").filesystem, base=str(found.parent))
        return FilePlace(name=name, home=str(found), state=place, only=found.name)
    return FilePlace(name=name, home=str(found), state=open_state(str(found), variable="--folder"), private=True)


def _source(uri: str, variable: str, options: argparse.Namespace) -> State:
    """A place of the system; the S3 server is the one of `--endpoint`, which need not be the one of the backups."""
    if not uri.startswith("s3://") or not options.endpoint:
        reach_s3(uri, variable=variable)
        return open_state(uri, variable=variable)
    endpoint, access = urlsplit(options.endpoint), configparser.RawConfigParser()
    try:
        if options.credentials:
            access.read_string(options.credentials.read_text())
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        why = str(error).partition("\n")[0]
        raise UsageError(f"--credentials is {options.credentials}, which cannot be read: {why}") from None
    keys = access["default"] if access.has_section("default") or "default" in access else {}
    filesystem = S3FileSystem(
        access_key=keys.get("aws_access_key_id"),
        secret_key=keys.get("aws_secret_access_key"),
        region="us-east-1",
        scheme=endpoint.scheme,
        endpoint_override=endpoint.netloc,
    )
    return State(filesystem=filesystem, base=uri.removeprefix("s3://").strip("/"))


def _path(uri: str, option: str) -> Path:
    try:
        return local_path(uri)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from None
