"""Where rows go: a file of this machine or of a bucket, Parquet or CSV by its suffix, whole or not at all."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from ray_jobs.dataset.errors import SourceError
from ray_jobs.runtime.output import OutputError, OutputFile
from registry.state import s3_filesystem
from tests.rights import of_an_ordinary_user

SCHEMA = pa.schema([pa.field("path", pa.string()), pa.field("probability", pa.float64())])
ROWS = pa.record_batch([['a, "b"\n.png', "c.png"], [0.25, None]], schema=SCHEMA)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_rows_are_read_back_as_they_were_and_trying_leaves_nothing(request, where, suffix, tmp_path):
    name = f"{tmp_path}/new/out" if where == "folder" else f"s3://{request.getfixturevalue('bucket')}/new/out"
    out = OutputFile.parse(f"{name}.{suffix}")
    out.try_out()
    if where == "folder":
        assert list((tmp_path / "new").iterdir()) == []
    else:
        s3 = request.getfixturevalue("s3")
        assert "Contents" not in s3.list_objects_v2(Bucket=request.getfixturevalue("bucket"))
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=request.getfixturevalue("bucket"))
    out.write([ROWS, ROWS], SCHEMA)
    filesystem, path = (s3_filesystem(), str(out)[5:]) if where == "bucket" else (pa.fs.LocalFileSystem(), str(out))
    with filesystem.open_input_file(path) as file:
        table = (
            pq.read_table(file)
            if suffix == "parquet"
            else pyarrow.csv.read_csv(file, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True))
        )
    assert table.to_pylist() == ROWS.to_pylist() * 2


def test_rows_that_fail_half_way_leave_what_stood_there(tmp_path):
    def failing() -> Iterator[pa.RecordBatch]:
        yield ROWS
        raise RuntimeError("the cluster is gone")

    for suffix in ("csv", "parquet"):
        (tmp_path / f"out.{suffix}").write_bytes(b"before")
        with pytest.raises(RuntimeError):
            OutputFile.parse(f"{tmp_path}/out.{suffix}").write(failing(), SCHEMA)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"before"}


def test_a_name_is_meant_from_home_where_it_begins_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Path(str(OutputFile.parse("~/out.csv"))) == tmp_path / "out.csv"


def test_an_ending_in_capitals_is_the_same_format(tmp_path):
    out = OutputFile.parse(str(tmp_path / "ANSWERS.PARQUET"))
    out.write(iter([]), SCHEMA)
    assert pq.read_table(str(out)).schema.equals(SCHEMA)


def test_a_bucket_that_does_not_exist_is_told(s3):
    with pytest.raises(SourceError, match=r"bucket 'nobodys-bucket' .* does not exist"):
        OutputFile.parse("s3://nobodys-bucket/out.csv").try_out()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("closed/out.csv", "Permission denied"),
        ("closed/new/out.csv", "Permission denied"),
        ("loop.csv", "Symlink loop"),
        ("link.csv", "Permission denied"),
        ("file/out.csv", "File exists"),
        (f"{'x' * 300}.csv", "File name too long"),
    ],
)
def test_a_place_that_takes_no_file_is_told_with_why(tmp_path, name, why):
    (tmp_path / "closed").mkdir(mode=0o500)
    (tmp_path / "file").touch()
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "closed" / "out.csv")
    with of_an_ordinary_user(), pytest.raises(OutputError, match=f"--out is .*, where no file can be written: {why}"):
        OutputFile.parse(str(tmp_path / name)).try_out()


@pytest.mark.parametrize("name", ["device.csv", "pipe.csv"])
def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path, name):
    (tmp_path / "device.csv").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(OutputError, match=r"--out is '.*', which is no regular file; name another place"):
        OutputFile.parse(str(tmp_path / name)).try_out()


@pytest.mark.parametrize("host", ["//", "//localhost", ""])
def test_an_address_of_a_file_is_decoded(tmp_path, host):
    path = tmp_path / "my answers 100%.csv"
    out = OutputFile.parse(f"file:{host}{path.as_uri().removeprefix('file://')}")
    out.write([ROWS], SCHEMA)
    assert pyarrow.csv.read_csv(path).num_rows == 2
    with pytest.raises(argparse.ArgumentTypeError, match="names 'elsewhere' as the machine"):
        OutputFile.parse("file://elsewhere/out.csv")


@pytest.mark.parametrize("name", ["~nobody-here/out.csv", "t\udcf3rax.csv"])
def test_a_name_that_can_be_none_is_refused(name):
    with pytest.raises(argparse.ArgumentTypeError, match=r"home folder that is not known|bytes that are not UTF-8"):
        OutputFile.parse(name)
