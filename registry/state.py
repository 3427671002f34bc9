"""The owner of STATE_URI, a folder or a bucket: what jobs resume from, and what serving remembers."""

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, S3FileSystem

from registry.addresses import is_utf8, local_path, shown
from registry.errors import FixableError
from registry.settings import LOCAL, SettingsError

_CHUNK = 1 << 20
# What S3 answers when parts of an upload that it had taken are not there any more.
_LOST = re.compile("InvalidPart|NO_SUCH_UPLOAD|NoSuchUpload")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StateError(SettingsError, OSError):
    """The folder that STATE_URI names cannot be written to; the message says why."""


class DiskFullError(FixableError, OSError):
    """There is no space left for a file; the message names it."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A filesystem and the folder in it that is ours. It can be pickled, so workers use it too."""

    filesystem: FileSystem
    base: str

    def path(self, *parts: str) -> str:
        """The path of something below the folder."""
        return "/".join((self.base, *parts))

    def try_out(self) -> None:
        """Raise StateError where no file can be written in a folder; a bucket is told from its first answer."""
        if self.filesystem.type_name == "s3":
            return
        try:
            tempfile.TemporaryFile(dir=self.base).close()  # it has no name at any moment
        except OSError as error:
            raise _unwritable(self.base, error) from error

    def exists(self, path: str) -> bool:
        """Whether there is a file at a path that `path()` gave."""
        return bool(self.filesystem.get_file_info(path).type == FileType.File)

    def names(self, path: str) -> list[str]:
        """The names of the files and folders in a folder, sorted; empty where there is none."""
        return sorted(
            info.base_name for info in self.filesystem.get_file_info(FileSelector(path, allow_not_found=True))
        )

    def read(self, path: str) -> bytes:
        """The whole content of a file."""
        with self.filesystem.open_input_stream(path) as stream:
            return bytes(stream.read())

    def write(self, path: str, content: bytes) -> None:
        """Write a file, as `write_atomically` does."""
        write_atomically(self.filesystem, path, BytesIO(content))


def write_atomically(filesystem: FileSystem, path: str, content: BinaryIO) -> None:
    """Write a file so that a reader, or a process killed at any moment, sees all of it or what was there before.

    An object in a bucket appears when its upload is complete; a file is written beside its place and then renamed.
    `content` must not fail half-way: make it on the local disk or in memory first.

    Raises
    ------
    DiskFullError
        If there is no space for it.
    OSError
        If it cannot be written for another reason.
    """
    if filesystem.type_name == "s3":
        _upload(filesystem, path, content)
        return
    folder, _, name = path.rpartition("/")
    with space_for(path):
        filesystem.create_dir(folder, recursive=True)
    scratch = f"{folder}/.{name}.{uuid4().hex}"
    try:
        with space_for(path):
            with filesystem.open_output_stream(scratch) as target:
                shutil.copyfileobj(content, target, _CHUNK)
            filesystem.move(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            filesystem.delete_file(scratch)
        raise


def _upload(filesystem: FileSystem, path: str, content: BinaryIO) -> None:
    """Write an object. Arrow completes it however its stream is left, so a Ctrl-C has to wait until all of it is there.

    Only the main thread gets one, so another thread writes. An upload that the store has lost, as MinIO does when it is
    restarted meanwhile, begins again, once.
    """
    start = content.tell()

    def write() -> None:
        content.seek(start)
        with filesystem.open_output_stream(path) as target:
            shutil.copyfileobj(content, target, _CHUNK)

    def write_again_if_lost() -> None:
        try:
            write()
        except OSError as error:
            if not _LOST.search(str(error)):
                raise
            write()

    interrupted: KeyboardInterrupt | None = None
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(write_again_if_lost)
        while not upload.done():
            try:
                wait([upload])
            except KeyboardInterrupt as interrupt:
                interrupted = interrupt
    upload.result()
    if interrupted:
        raise interrupted


@contextlib.contextmanager
def space_for(path: str, *, variable: str = "") -> Iterator[None]:
    """Say which file a full disk has no space for; libraries do not. `variable` is what names another place."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        elsewhere = f" or name another place in {variable}," if variable else ""
        raise DiskFullError(
            f"no space is left for {path!r} ({os.strerror(error.errno)}); make some,{elsewhere} and run it again"
        ) from error


def open_state(uri: str, *, variable: str = "STATE_URI") -> State:
    """The state folder that a URI names: a local path, or `s3://bucket/prefix` on any endpoint.

    `variable` is what errors call the address.

    Raises
    ------
    SettingsError
        For a scheme that is neither, an address without a bucket, or an endpoint that is not an address.
    StateError
        For a folder that cannot be made.
    """
    if uri.startswith("s3://") and (base := uri.removeprefix("s3://").strip("/")) and not uri.startswith("s3:///"):
        return State(filesystem=s3_filesystem(), base=base)  # a key is not an address: what it holds stands as it is
    if "://" in uri and not uri.startswith("file:"):
        raise SettingsError(
            f"{variable} is {shown(uri)!r}; it takes a folder or s3://bucket/prefix, for example s3://hm-mlflow/state"
        )
    return State(filesystem=LocalFileSystem(), base=str(_folder(uri, variable).resolve()))


def local_folder(uri: str) -> Path:
    """A folder of this machine for locks and copies: the state, or `.local/` where the state is in a bucket."""
    if not uri.startswith("s3:"):
        return _folder(uri)
    LOCAL.mkdir(parents=True, exist_ok=True)
    return LOCAL


def _folder(uri: str, variable: str = "STATE_URI") -> Path:
    try:
        folder = local_path(uri)
    except ValueError as error:
        raise SettingsError(f"{variable} {error}") from None
    if not is_utf8(str(folder)):
        raise SettingsError(f"{variable} is {uri!r}, which holds bytes that are not UTF-8; name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(uri, error, variable) from error
    return folder


def _unwritable(place: object, error: OSError, variable: str = "STATE_URI") -> StateError:
    why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror or error
    return StateError(
        f"{variable} is {str(place)!r}, where nothing can be written: {why}; name a folder of yours, or "
        "s3://bucket/prefix"
    )


def s3_filesystem() -> S3FileSystem:
    """The S3 that the AWS variables name; raises SettingsError for an endpoint that is not an address."""
    variable = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    address = os.environ.get(variable, "")
    endpoint = urlsplit(address)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not address:
        return S3FileSystem(region=region)
    if endpoint.scheme not in ("http", "https") or not endpoint.netloc:
        raise SettingsError(
            f"{variable} is {shown(address)!r}, which is not an address; an example is http://127.0.0.1:9000"
        )
    return S3FileSystem(region=region or "us-east-1", scheme=endpoint.scheme, endpoint_override=endpoint.netloc)
