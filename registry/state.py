"""The owner of STATE_URI, a folder or a bucket: what jobs resume from, and what serving remembers."""

import contextlib
import os
import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, S3FileSystem

from registry.addresses import local_path
from registry.settings import LOCAL, SettingsError

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class State:
    """A filesystem and the folder in it that is ours. It can be pickled, so workers use it too."""

    filesystem: FileSystem
    base: str

    def path(self, *parts: str) -> str:
        """The path of something below the folder."""
        return "/".join((self.base, *parts))

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
    """
    if filesystem.type_name == "s3":
        with filesystem.open_output_stream(path) as target:
            shutil.copyfileobj(content, target, _CHUNK)
        return
    folder, _, name = path.rpartition("/")
    filesystem.create_dir(folder, recursive=True)
    scratch = f"{folder}/.{name}.{uuid4().hex}"
    try:
        with filesystem.open_output_stream(scratch) as target:
            shutil.copyfileobj(content, target, _CHUNK)
        filesystem.move(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            filesystem.delete_file(scratch)
        raise


def open_state(uri: str) -> State:
    """The state folder that a URI names: a local path, or `s3://bucket/prefix` on any endpoint.

    Raises
    ------
    SettingsError
        For a scheme that is neither, an address without a bucket, or an endpoint that is not an address.
    """
    if uri.startswith("s3://") and (base := uri.removeprefix("s3://").strip("/")) and not uri.startswith("s3:///"):
        return State(filesystem=s3_filesystem(), base=base)  # a key is not an address: what it holds stands as it is
    if "://" in uri and not uri.startswith("file:"):
        raise SettingsError(
            f"STATE_URI is {uri!r}; it takes a folder or s3://bucket/prefix, for example s3://hm-mlflow/state"
        )
    try:
        folder = local_path(uri).expanduser().resolve()
    except ValueError as error:
        raise SettingsError(f"STATE_URI {error}") from None
    folder.mkdir(parents=True, exist_ok=True)
    return State(filesystem=LocalFileSystem(), base=str(folder))


def local_folder(uri: str) -> Path:
    """A folder of this machine for locks and copies: the state, or `.local/` where the state is in a bucket."""
    folder = LOCAL if uri.startswith("s3:") else local_path(uri).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def s3_filesystem() -> S3FileSystem:
    """The S3 that the AWS variables name; raises SettingsError for an endpoint that is not an address."""
    variable = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    address = os.environ.get(variable, "")
    endpoint = urlsplit(address)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not address:
        return S3FileSystem(region=region)
    if endpoint.scheme not in ("http", "https") or not endpoint.netloc:
        raise SettingsError(f"{variable} is {address!r}, which is not an address; an example is http://127.0.0.1:9000")
    return S3FileSystem(region=region or "us-east-1", scheme=endpoint.scheme, endpoint_override=endpoint.netloc)
