"""State in a folder and in a bucket of a real S3 server, and addresses that are none."""

import io
import os
import pickle
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.manifest import images_of
from ray_jobs.feature_table.cache import CacheError, cached, extract_shard, load_shard, shard_path
from ray_jobs.feature_table.prepare import prepare
from ray_jobs.runtime.output import OutputFile
from registry.settings import SettingsError
from registry.state import DiskFullError, StateError, local_folder, open_state, write_atomically
from tests.rights import of_an_ordinary_user


def test_what_is_written_is_read_back_and_replaced_whole(state):
    path = state.path("sweeps", "a run", "trial.json")
    assert not state.exists(path)
    state.write(path, b"first, and longer")
    state.write(path, b"second")
    assert state.exists(path)
    assert state.read(path) == b"second"
    assert not state.exists(state.path("sweeps", "a run"))  # a folder is no file


def test_a_state_travels_to_a_worker(state):
    sent = pickle.loads(pickle.dumps(state))
    sent.write(sent.path("x"), b"1")
    assert state.read(state.path("x")) == b"1"


class FullDisk(io.BytesIO):
    """A content of which only the first bytes can be written."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError("disk full")
        return super().read(1)


def test_a_write_that_fails_leaves_what_stood_there_and_no_scrap(tmp_path):
    state = open_state(str(tmp_path))
    state.write(state.path("x"), b"before")
    with pytest.raises(OSError, match="disk full"):
        write_atomically(state.filesystem, state.path("x"), FullDisk(b"after"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"before"}


class LostOnTheWay(io.BytesIO):
    """A content of two parts, of which a store loses the first, as often as it is told to, before it has the second."""

    def __init__(self, s3: Any, bucket: str, *, times: int) -> None:
        super().__init__(bytes(15_000_000))
        self._s3, self._bucket, self._times = s3, bucket, times

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        if not chunk and self._times:
            self._times -= 1
            upload = self._s3.list_multipart_uploads(Bucket=self._bucket)["Uploads"][-1]
            part = {"Bucket": self._bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            while "Parts" not in self._s3.list_parts(**part):
                pass
            self._s3.upload_part(**part, PartNumber=1, Body=b"something else")
        return chunk


def test_an_upload_of_which_the_store_lost_a_part_begins_again_once(s3, bucket):
    state = open_state(f"s3://{bucket}")
    write_atomically(state.filesystem, state.path("x"), LostOnTheWay(s3, bucket, times=1))
    assert state.read(state.path("x")) == bytes(15_000_000)
    with pytest.raises(OSError, match="InvalidPart"):
        write_atomically(state.filesystem, state.path("y"), LostOnTheWay(s3, bucket, times=2))


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """The system refuses to write more bytes than that to a file, as it does where a disk is full."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_with_the_file_and_leaves_what_stood_there(tmp_path):
    state = open_state(str(tmp_path))
    state.write(state.path("x"), b"before")
    with no_file_above(1000), pytest.raises(DiskFullError, match=f"no space is left for '{state.path('x')}' "):
        state.write(state.path("x"), bytes(3_000_000))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"before"}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_full_disk_for_drafts_is_told_with_the_variable_that_moves_them(tmp_path, ending):
    out = OutputFile.parse(str(tmp_path / f"out.{ending}"))
    schema = pa.schema([("text", pa.string())])
    rows = [pa.RecordBatch.from_pydict({"text": [os.urandom(20).hex() for _ in range(9000)]}, schema=schema)] * 3
    with no_file_above(1000), pytest.raises(DiskFullError, match=r"hm-mlflow-.* name another place in TMPDIR, and run"):
        out.write(rows, schema)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "it is no folder"),
        ("file/state", "Not a directory"),
        ("closed/state", "Permission denied"),
        ("closed", "Permission denied"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_told_with_the_setting(tmp_path, name, why):
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir(mode=0o500)
    for use in (lambda uri: open_state(uri).try_out(), local_folder):
        if use is local_folder and name == "closed":
            continue  # what is in it can be read all the same
        with of_an_ordinary_user(), pytest.raises(StateError, match=f"STATE_URI is .* can be written: {why};"):
            use(str(tmp_path / name))


@pytest.mark.parametrize("uri", ["~nobody-here/state", "t\udcf3rax"])
def test_a_path_that_can_be_none_is_refused_and_made_nowhere(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"STATE_URI .*(home folder that is not known|not UTF-8)"):
        open_state(uri)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_meant_from_home_where_it_begins_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_state("~/state").base == str(tmp_path / "state")
    assert local_folder("~/state") == tmp_path / "state"


def test_however_often_ctrl_c_comes_in_the_middle_of_an_upload_no_part_of_it_is_published(bucket, tmp_path, request):
    class Interrupted(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            return super().read(size)

    state = open_state(f"s3://{bucket}/state")
    whole = bytes(3 << 20)
    (tmp_path / "draft").write_bytes(whole)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of pytest-xdist has none
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, handler))
    with pytest.raises(KeyboardInterrupt), Interrupted(str(tmp_path / "draft")) as draft:
        write_atomically(state.filesystem, state.path("file"), draft)
    assert state.read(state.path("file")) == whole


def test_a_password_in_an_address_that_is_not_taken_is_not_shown():
    with pytest.raises(SettingsError, match=r"STATE_URI is 'ftp://clinic:\*\*\*@host/state'"):
        open_state("ftp://clinic:secret@host/state")


@pytest.mark.parametrize("uri", ["ftp://host/state", "s3://", "s3:///state"])
def test_an_address_that_is_none_is_refused_with_an_example(uri):
    with pytest.raises(SettingsError, match=f"STATE_URI is '{uri}'; .* for example s3://hm-mlflow/state"):
        open_state(uri)


def test_an_endpoint_that_is_no_address_is_refused_and_not_passed_over_for_amazon(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "minio:9000")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL_S3 is 'minio:9000', which is not an address"):
        open_state("s3://state")


def test_manifest_and_cache_in_a_bucket_are_found_again_and_hold_the_bytes_of_a_folder(settings, bucket, tmp_path):
    here = prepare(settings.model_copy(update={"data_uri": "synthetic:60"}))
    there = prepare(settings.model_copy(update={"data_uri": "synthetic:60", "state_uri": f"s3://{bucket}/some/where"}))
    assert there.manifest.digest == here.manifest.digest
    assert prepare(there.settings).manifest.hashed == 0
    prefix, rows = next(iter(there.manifest.shards()))
    images = images_of(rows)
    files = []
    for prepared in (here, there):
        assert cached(prepared.state, DEFAULT_SPEC, prefix) == {}
        assert extract_shard(prepared.source, prepared.state, DEFAULT_SPEC, prefix, images) == []
        assert cached(prepared.state, DEFAULT_SPEC, prefix) == {sha256: "" for _, sha256 in images}
        files.append(shard_path(prepared.state, DEFAULT_SPEC, prefix))
    assert there.state.read(files[1]) == here.state.read(files[0])
    matrix, found = load_shard(there.state, DEFAULT_SPEC, prefix, [*images, ("absent.png", prefix + "f" * 62)])
    assert matrix.shape == (len(images), DEFAULT_SPEC.rows.count, len(DEFAULT_SPEC.names))
    assert found.tolist() == [True] * len(images) + [False]


def test_what_another_version_of_the_decoder_said_of_a_file_is_not_believed(settings, monkeypatch):
    prepared = prepare(settings.model_copy(update={"data_uri": "synthetic:60"}))
    prefix, rows = next(iter(prepared.manifest.shards()))
    images = images_of(rows)
    with monkeypatch.context() as older:
        older.setattr("ray_jobs.feature_table.cache.READING_VERSION", 0)
        extract_shard(prepared.source, prepared.state, DEFAULT_SPEC, prefix, images)
        assert len(cached(prepared.state, DEFAULT_SPEC, prefix)) == len(images)
    assert cached(prepared.state, DEFAULT_SPEC, prefix) == {}


def test_a_cache_file_that_was_cut_short_is_named_with_the_remedy(settings):
    prepared = prepare(settings.model_copy(update={"data_uri": "synthetic:60"}))
    prefix, rows = next(iter(prepared.manifest.shards()))
    images = images_of(rows)
    extract_shard(prepared.source, prepared.state, DEFAULT_SPEC, prefix, images)
    (file,) = Path(prepared.state.base).glob(f"features/*/{prefix}.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CacheError, match=rf"{file} is not a feature cache .*remove the file"):
        prepared.extract()


def test_a_file_that_is_no_cache_of_ours_is_refused_too(settings):
    prepared = prepare(settings.model_copy(update={"data_uri": "synthetic:60"}))
    prefix, _ = next(iter(prepared.manifest.shards()))
    file = Path(shard_path(prepared.state, DEFAULT_SPEC, prefix))
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    with pytest.raises(CacheError, match="is not a feature cache"):
        prepared.extract()
