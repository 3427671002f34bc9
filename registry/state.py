"""Where jobs keep what they can resume from, and serving what it remembers: a folder or a bucket."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from pyarrow.fs import FileSystem, FileType, LocalFileSystem, S3FileSystem

from registry.settings import SettingsError


@dataclass(frozen=True, kw_only=True)
class State:
    """A filesystem and the folder in it that is ours. It can be pickled, so workers use it too."""

    filesystem: FileSystem
    base: str

    def path(self, *parts: str) -> str:
        """The path of something below the folder."""
        return "/".join((self.base, *parts))

    def exists(self, path: str) -> bool:
        """Whether a file stands at a path that `path()` gave."""
        return bool(self.filesystem.get_file_info(path).type == FileType.File)

    def read(self, path: str) -> bytes:
        """The whole content of a file."""
        with self.filesystem.open_input_stream(path) as stream:
            return bytes(stream.read())

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that a reader, or a process killed at any moment, sees all of it or none."""
        if not isinstance(self.filesystem, LocalFileSystem):
            with self.filesystem.open_output_stream(path) as stream:  # an S3 upload appears when it is completed
                stream.write(content)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            scratch.write_bytes(content)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)


def open_state(uri: str) -> State:
    """The state folder that a URI names: a local path, or `s3://bucket/prefix` on any endpoint.

    Raises
    ------
    SettingsError
        For a scheme that is neither, an address without a bucket, or an endpoint that is no address.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return State(filesystem=_s3(), base=f"{parts.netloc}{parts.path}".rstrip("/"))
    if "://" in uri:
        raise SettingsError(
            f"STATE_URI is {uri!r}; it takes a folder or s3://bucket/prefix, for example s3://hm-mlflow/state"
        )
    folder = Path(uri).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return State(filesystem=LocalFileSystem(), base=str(folder))


def _s3() -> S3FileSystem:
    variable = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    address = os.environ.get(variable, "")
    endpoint = urlsplit(address)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not address:
        return S3FileSystem(region=region)
    if endpoint.scheme not in ("http", "https") or not endpoint.netloc:
        raise SettingsError(f"{variable} is {address!r}, which is no address; an example is http://127.0.0.1:9000")
    return S3FileSystem(region=region or "us-east-1", scheme=endpoint.scheme, endpoint_override=endpoint.netloc)
