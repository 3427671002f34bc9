"""The pictures of an S3 bucket, read and uploaded, at any endpoint, by the standard AWS variables."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ray_jobs.dataset.entry import Entry, hidden
from ray_jobs.dataset.errors import DatasetError, EntryError, SourceError
from ray_jobs.dataset.key_ranges import all_pages
from registry.process.reach import reach_s3
from registry.settings import SettingsError

_EXAMPLE = "s3://hm-mlflow-data/chest-xray/train"
_CREATION = threading.Lock()
_DENIED = frozenset({"403", "AccessDenied", "AllAccessDisabled"})
_TRIES = 4
_BAD_CREDENTIALS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})


@dataclass(frozen=True)
class S3Source:
    """The objects below a prefix of a bucket; ``prefix`` is empty or ends in ``/``."""

    bucket: str
    prefix: str

    @classmethod
    def from_uri(cls, uri: str, *, variable: str = "DATA_URI") -> "S3Source":
        """Parse ``s3://bucket/prefix``; raises SourceError, which names a variable, where there is no bucket."""
        bucket, _, prefix = uri.removeprefix("s3:").removeprefix("//").partition("/")
        if not uri.startswith("s3://") or not bucket:
            raise SourceError(f"{variable} {uri!r} names no bucket; an example is {_EXAMPLE}")
        prefix = prefix.strip("/")
        return cls(bucket=bucket, prefix=f"{prefix}/" if prefix else "")

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def name(self) -> str:
        return self.prefix.rstrip("/").rpartition("/")[2]

    def entries(self) -> Iterator[Entry]:
        try:
            reach_s3(self.uri, variable="DATA_URI")
        except SettingsError as error:
            raise SourceError(str(error)) from error
        try:
            for items in all_pages(self._page, self._path):
                for item in items:
                    path = self._path(item)
                    if path and not path.endswith("/") and not any(map(hidden, path.split("/"))):
                        yield Entry(path=path, size=item["Size"], version=item["ETag"].strip('"'))
        except (BotoCoreError, ClientError) as error:
            raise SourceError(self._explained(error)) from error

    def _page(self, after: str) -> tuple[list[dict[str, Any]], bool]:
        """The objects after a path, as many as one request gives, and whether there are more."""
        start = {"StartAfter": f"{self.prefix}{after}"} if after else {}
        page = _client().list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, **start)
        return page.get("Contents", []), page["IsTruncated"]

    def _path(self, item: Mapping[str, Any]) -> str:
        return str(item["Key"])[len(self.prefix) :]

    def read(self, path: str) -> bytes:
        try:
            return self._whole(path)
        except (BotoCoreError, ClientError) as error:
            raise self._read_error(path, error) from error

    def _whole(self, path: str) -> bytes:
        """The bytes of an object, asked for again where the connection breaks while they come.

        boto3 tries again only until they begin to come, and of a hundred thousand reads a few break later.
        """
        for _ in range(_TRIES - 1):
            body = self._body(path)
            with contextlib.suppress(BotoCoreError):
                return bytes(body.read())
        return bytes(self._body(path).read())

    def _body(self, path: str) -> Any:
        return _client().get_object(Bucket=self.bucket, Key=f"{self.prefix}{path}")["Body"]

    def write(self, path: str, content: bytes) -> None:
        """Put one object, whole or not at all; raises SourceError where the bucket does not take it."""
        try:
            _client().put_object(Bucket=self.bucket, Key=f"{self.prefix}{path}", Body=content)
        except (BotoCoreError, ClientError) as error:
            raise SourceError(self._explained(error)) from error

    def try_out(self, path: str) -> None:
        """Begin to write an object and give it up, so that nothing is left; raises as `write` does."""
        place = {"Bucket": self.bucket, "Key": f"{self.prefix}{path}"}
        try:
            upload = _client().create_multipart_upload(**place)
            _client().abort_multipart_upload(**place, UploadId=upload["UploadId"])
        except (BotoCoreError, ClientError) as error:
            raise SourceError(self._explained(error)) from error

    def _read_error(self, path: str, error: Exception) -> DatasetError:
        # An object gone or closed is a matter of that object; anything else would blame every object in turn.
        code = _code(error)
        if code in {"NoSuchKey", "404", "InvalidObjectState"} or code in _DENIED:
            return EntryError(f"{path} cannot be read from {self.uri}: {code}")
        return SourceError(self._explained(error))

    def _explained(self, error: Exception) -> str:
        code = _code(error)
        if code in {"NoSuchBucket", "404"}:
            return f"bucket {self.bucket!r} of {self.uri} does not exist at {_endpoint()}; check both"
        if code in _DENIED:
            return (
                f"access to {self.uri} at {_endpoint()} is denied; s3:ListBucket and s3:GetObject are needed, and "
                "s3:PutObject to upload"
            )
        if code in _BAD_CREDENTIALS:
            return (
                f"{_endpoint()} refuses the credentials ({code}) for {self.uri}; check AWS_ACCESS_KEY_ID and its secret"
            )
        if isinstance(error, ClientError):
            return f"{self.uri} at {_endpoint()} answers {error}"
        return (
            f"{self.uri} cannot be reached at {_endpoint()}: {error}; check AWS_ENDPOINT_URL_S3, AWS_DEFAULT_REGION, "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _endpoint() -> str:
    try:
        return str(_client().meta.endpoint_url)
    except (BotoCoreError, ValueError):
        return "the endpoint"


def _client() -> Any:
    """The client of this process for the AWS variables of now: clients do not pickle, and one serves all threads."""
    variables = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    with _CREATION:
        return _made_client(variables)


@functools.lru_cache(maxsize=4)
def _made_client(_variables: tuple[tuple[str, str], ...]) -> Any:
    import boto3  # noqa: PLC0415 - heavy, and only s3: needs it
    import botocore.session  # noqa: PLC0415

    retries = Config(
        retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=60, max_pool_connections=32
    )
    session = botocore.session.Session()
    # Nobody here asks when an object was written, and to parse that takes three quarters of the time of a listing.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    try:
        return boto3.session.Session(botocore_session=session).client("s3", config=retries)
    except ValueError as error:
        raise SourceError(
            f"AWS_ENDPOINT_URL_S3 is not an address: {error}; an example is http://localhost:9000"
        ) from error
