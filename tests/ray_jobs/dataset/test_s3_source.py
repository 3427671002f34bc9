"""The S3 source, against a real S3 server."""

import pickle
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import httpx
import pytest
from pyarrow.fs import S3FileSystem

from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.errors import EntryError, SourceError
from ray_jobs.dataset.manifest import load_manifest
from ray_jobs.dataset.sources import open_source

from .conftest import cohort, png


def test_a_prefix_lists_its_objects_by_relative_path_and_etag(s3, bucket):
    for key in (
        "xrays/train/NORMAL/a.png",
        "xrays/train/NORMAL/",
        "xrays/.hidden/NORMAL/b.png",
        "xrays-old/NORMAL/c.png",
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=b"abc" if key.endswith("png") else b"")
    (entry,) = open_source(f"s3://{bucket}/xrays/").entries()
    assert (entry.path, entry.size) == ("train/NORMAL/a.png", 3)
    assert entry.version == s3.head_object(Bucket=bucket, Key="xrays/train/NORMAL/a.png")["ETag"].strip('"')


def test_a_listing_of_more_than_one_page_is_whole(s3, bucket, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(10):
        s3.put_object(Bucket=bucket, Key=f"NORMAL/{number}.png", Body=b"x")
    assert len({entry.path for entry in open_source(f"s3://{bucket}").entries()}) == 10
    assert s3.list_objects_v2(Bucket=bucket)["IsTruncated"]


def test_a_source_travels_to_a_worker_and_reads_there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="xrays/NORMAL/a b+ü.png", Body=b"abc")
    source = pickle.loads(pickle.dumps(open_source(f"s3://{bucket}/xrays")))
    assert (source.uri, source.name) == (f"s3://{bucket}/xrays", "xrays")
    assert [source.read(entry.path) for entry in source.entries()] == [b"abc"]


def test_a_missing_object_is_a_matter_of_that_object(s3, bucket):
    with pytest.raises(EntryError, match=f"NORMAL/a.png cannot be read from s3://{bucket}: NoSuchKey"):
        open_source(f"s3://{bucket}").read("NORMAL/a.png")


@contextmanager
def breaking(times: int) -> Iterator[str]:
    """The address of a store that has one object, and hangs up in the middle of its first answers."""
    content, left = b"whole" * 20_000, iter(range(times))

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if next(left, None) is None else content[:1000])

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_an_object_is_asked_for_again_where_the_connection_breaks_inside_it(s3, monkeypatch):
    with breaking(3) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        assert open_source("s3://bucket/xrays").read("NORMAL/a.png") == b"whole" * 20_000
    with breaking(4) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        with pytest.raises(SourceError, match=r"s3://bucket/xrays cannot be reached at .*99000 more expected"):
            open_source("s3://bucket/xrays").read("NORMAL/a.png")


def test_a_missing_bucket_is_named_with_its_endpoint(s3, aws_server):
    source = open_source("s3://no-such-bucket/xrays")
    with pytest.raises(SourceError, match=f"bucket 'no-such-bucket' .* does not exist at {aws_server}"):
        list(source.entries())
    with pytest.raises(SourceError, match=r"bucket 'no-such-bucket' .* does not exist"):
        source.read("NORMAL/a.png")


def test_an_endpoint_where_nobody_listens_is_named_with_the_variable(s3, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SourceError, match=f"AWS_ENDPOINT_URL_S3 is '{address}', which does not answer: nobody"):
        list(open_source("s3://bucket/xrays").entries())
    with pytest.raises(SourceError, match="cannot be reached"):
        open_source("s3://bucket/xrays").read("NORMAL/a.png")


def test_an_endpoint_that_is_no_address_is_refused(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "minio:9000")
    with pytest.raises(SourceError, match=r"AWS_ENDPOINT_URL_S3 is not an address: .*an example is http://"):
        list(open_source("s3://bucket/xrays").entries())


@pytest.fixture
def stranger(aws_server, s3, monkeypatch):
    """The credentials of a user without any right, on the server that now asks for rights."""
    iam = boto3.session.Session().client("iam", endpoint_url=aws_server)
    name = f"stranger-{uuid.uuid4()}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    httpx.post(f"{aws_server}/moto-api/reset-auth", content="0").raise_for_status()
    yield
    httpx.post(f"{aws_server}/moto-api/reset-auth", content="1000000000").raise_for_status()


def test_denied_access_says_what_is_needed(bucket, stranger):
    with pytest.raises(SourceError, match=r"access to s3://.* is denied; s3:ListBucket and s3:GetObject are needed"):
        list(open_source(f"s3://{bucket}/xrays").entries())


def test_credentials_that_are_not_known_are_named(bucket, stranger, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    with pytest.raises(SourceError, match=r"refuses the credentials \(InvalidAccessKeyId\) .*check AWS_ACCESS_KEY_ID"):
        list(open_source(f"s3://{bucket}/xrays").entries())


def test_a_manifest_of_a_bucket_stands_in_a_bucket_and_hashes_only_what_is_new(s3, aws_server, bucket):
    for key, data in cohort().items():
        s3.put_object(Bucket=bucket, Key=f"xrays/{key}", Body=data)
    address = aws_server.removeprefix("http://")
    filesystem = S3FileSystem(
        access_key="testing", secret_key="testing", endpoint_override=address, scheme="http", region="us-east-1"
    )
    place = {"filesystem": filesystem, "base": f"{bucket}/state/dataset"}
    first = build_manifest(open_source(f"s3://{bucket}/xrays"), **place)
    assert (first.rows, first.hashed) == (80, 80)
    s3.put_object(Bucket=bucket, Key="xrays/NORMAL/IM-0900-0001.png", Body=png(-1 % 2**32))
    second = build_manifest(open_source(f"s3://{bucket}/xrays"), **place)
    assert (second.rows, second.hashed) == (81, 1)
    assert load_manifest(f"s3://{bucket}/xrays", **place) == second
    assert sum(len(rows) for _, rows in second.shards()) == 81
