"""A dataset copied into a bucket of a real S3 server: whole, again, after an interruption, with files that fail."""

import os
from pathlib import Path

import pytest

from ray_jobs.dataset.errors import SourceError
from ray_jobs.dataset.s3_source import S3Source
from ray_jobs.dataset.sources import open_source
from ray_jobs.upload import upload
from tests.ray_jobs.dataset.conftest import cohort


@pytest.fixture
def target(bucket: str) -> S3Source:
    return S3Source.from_uri(f"s3://{bucket}/xrays")


def test_a_folder_arrives_byte_for_byte_and_is_not_sent_again(write, target):
    files = cohort(5)
    source = open_source(str(write(files)))

    assert upload(source, target) == (10, 0, [])
    assert {entry.path: target.read(entry.path) for entry in target.entries()} == files
    assert upload(source, target) == (0, 10, [])


def test_only_what_is_missing_or_has_another_size_is_sent(write, target, s3, bucket):
    source = open_source(str(write(cohort(5))))
    upload(source, target)
    s3.delete_object(Bucket=bucket, Key="xrays/NORMAL/IM-0001-0001.png")
    s3.put_object(Bucket=bucket, Key="xrays/NORMAL/IM-0002-0001.png", Body=b"cut short")

    assert upload(source, target) == (2, 8, [])


def test_generated_xrays_whose_size_shows_only_when_they_are_made_are_not_sent_again(target):
    source = open_source("synthetic:40")

    assert upload(source, target) == (40, 0, [])
    assert upload(source, target) == (0, 40, [])


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_sent(write, target):
    folder: Path = write(cohort(5))
    (folder / "NORMAL" / "gone.png").symlink_to(folder / "nowhere.png")

    sent, there, unreadable = upload(open_source(str(folder)), target)

    assert (sent, there) == (10, 0)
    assert len(unreadable) <= 1  # a listing may leave a dangling link out
    assert all("gone.png" in line for line in unreadable)


def test_a_bucket_that_is_not_there_stops_the_upload_at_once(write, s3):
    with pytest.raises(SourceError, match=r"bucket 'no-such-bucket' .* does not exist"):
        upload(open_source(str(write(cohort(5)))), S3Source.from_uri("s3://no-such-bucket/xrays"))


def test_a_file_whose_name_is_no_utf8_is_named_and_the_others_are_sent(write, target):
    root = write(cohort(5))
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/NORMAL/\xff.png")).write_bytes(b"x")
    except OSError as error:
        pytest.skip(reason=f"this filesystem takes no such name: {error}")
    sent, there, (line,) = upload(open_source(str(root)), target)
    assert (sent, there) == (10, 0)
    assert line == "NORMAL/\\udcff.png cannot be an object's key: the file name is not UTF-8; rename the file"
