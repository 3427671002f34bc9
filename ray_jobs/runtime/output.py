"""The file that a job writes its rows to: `--out`, which is checked and tried before any work."""

import argparse
import contextlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv
from pyarrow.fs import FileSystem, LocalFileSystem

from ray_jobs.dataset.parquet import publish
from ray_jobs.dataset.s3_source import S3Source
from registry.addresses import is_utf8, local_path
from registry.errors import FixableError
from registry.state import s3_filesystem, space_for, write_atomically

FORMATS = (".parquet", ".csv")


class OutputError(FixableError):
    """The place that `--out` names cannot be written to; the message says why."""


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """A Parquet or CSV file on this machine or in a bucket; `name` is what a person wrote, home folder expanded."""

    name: str

    @classmethod
    def parse(cls, text: str) -> "OutputFile":
        """Check the argument; raises ArgumentTypeError for a suffix or scheme that is not taken."""
        if not is_utf8(text):
            raise argparse.ArgumentTypeError(f"{text!r} holds bytes that are not UTF-8; name another file")
        ending = text.lower()
        if not ending.endswith(FORMATS) or ending.endswith(tuple(f"/{suffix}" for suffix in FORMATS)):
            raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file that ends in {' or '.join(FORMATS)}")
        if text.startswith("s3:"):
            bucket, _, key = text.removeprefix("s3://").partition("/")
            if not text.startswith("s3://") or not bucket or not key:
                raise argparse.ArgumentTypeError(f"{text!r} is not s3://BUCKET/KEY, such as s3://hm-mlflow/out.parquet")
            return cls(name=text)
        if "://" in text and not text.startswith("file:"):
            raise argparse.ArgumentTypeError(f"{text!r} is neither a file of this machine nor s3://BUCKET/KEY")
        try:
            return cls(name=str(local_path(text)))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    def try_out(self) -> None:
        """Write where the file will be and leave nothing behind.

        Raises
        ------
        OutputError
            If the place cannot be written to.
        DatasetError
            If the bucket cannot be written to.
        """
        if self.name.startswith("s3://"):
            folder, _, key = self.name.rpartition("/")
            S3Source.from_uri(folder, variable="--out").try_out(key)
            return
        try:
            path = Path(self._place()[1])  # where a link leads is where it will be written
            if path.is_dir():
                raise OutputError(f"--out is {self.name!r}, which is a folder; name a file in it")
            if path.exists() and not path.is_file():  # a device or a pipe, which the file would take the place of
                raise OutputError(f"--out is {self.name!r}, which is no regular file; name another place")
            path.parent.mkdir(parents=True, exist_ok=True)
            trial = path.with_name(f".{path.name}.{uuid4().hex}")
            trial.touch()
            trial.unlink()
        except (OSError, RuntimeError) as error:  # pathlib has a RuntimeError for a link that leads to itself
            why = getattr(error, "strerror", None) or error
            raise OutputError(
                f"--out is {self.name!r}, where no file can be written: {why}; name another place"
            ) from error

    def write(self, rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Write all rows, whole or not at all; one batch is in memory at a time."""
        filesystem, path = self._place()
        if self.name.lower().endswith(".parquet"):
            publish(rows, schema, filesystem=filesystem, path=path)
            return
        with tempfile.TemporaryDirectory(prefix="hm-mlflow-") as folder:
            draft = Path(folder) / "draft.csv"
            with (
                space_for(folder, variable="TMPDIR"),
                contextlib.closing(pyarrow.csv.CSVWriter(draft, schema)) as writer,
            ):
                for batch in rows:
                    writer.write_batch(batch)
            with draft.open("rb") as content:
                write_atomically(filesystem, path, content)

    def __str__(self) -> str:
        return self.name

    def _place(self) -> tuple[FileSystem, str]:
        if self.name.startswith("s3://"):
            return s3_filesystem(), self.name.removeprefix("s3://")
        return LocalFileSystem(), str(Path(self.name).resolve())
