"""What DATA_URI takes, and what a folder yields."""

import os
import pickle
from pathlib import Path

import pytest

from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import EntryError, SourceError
from ray_jobs.dataset.sources import open_source


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "DATA_URI is empty; it takes a folder"),
        ("gs://bucket/x", r"'gs://bucket/x': scheme 'gs' is not known; it takes a folder .*s3://.*kaggle:.*synthetic:"),
        ("nowhere/at/all", "'nowhere/at/all' does not exist on this machine .*DATA_URI takes a folder"),
        ("s3://", "'s3://' names no bucket; an example is s3://"),
        ("s3:bucket", "'s3:bucket' names no bucket"),
        ("kaggle:chest-xray", "'kaggle:chest-xray' is not kaggle:owner/name; an example is kaggle:paultimothymooney"),
        ("kaggle:../../etc", "is not kaggle:owner/name"),
        ("synthetic:", "COUNT must be a whole number from 40 to 1000000, such as synthetic:600"),
        ("synthetic:39", "'synthetic:39'"),
        ("synthetic:1000001", "'synthetic:1000001'"),
        ("synthetic:-50", "'synthetic:-50'"),
        ("synthetic:many", "'synthetic:many'"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_the_value_and_an_example(uri, message):
    with pytest.raises(SourceError, match=message):
        open_source(uri)


def test_a_file_is_not_a_folder(tmp_path: Path):
    file = tmp_path / "x.png"
    file.touch()
    with pytest.raises(SourceError, match=r"x\.png' is a file, not a folder"):
        open_source(str(file))


def test_a_folder_lists_its_visible_files_with_size_and_version(write):
    root = write(
        {"NORMAL/a.png": b"abc", "NORMAL/.DS_Store": b"x", "__MACOSX/NORMAL/a.png": b"x", ".git/NORMAL/b": b"x"}
    )
    (entry,) = open_source(str(root)).entries()
    assert (entry.path, entry.size) == ("NORMAL/a.png", 3)
    assert entry.version == f"{(root / 'NORMAL/a.png').stat().st_mtime_ns}-3"


def test_a_relative_folder_a_file_address_and_an_absolute_one_are_the_same_source(write, monkeypatch):
    root = write({"NORMAL/a.png": b"abc"})
    monkeypatch.chdir(root.parent)
    assert open_source("xrays") == open_source(f"file://{root}") == open_source(str(root)) == open_source("./xrays/")


def test_a_source_travels_to_a_worker(write):
    source = pickle.loads(pickle.dumps(open_source(str(write({"NORMAL/a.png": b"abc"})))))
    assert isinstance(source, Source)
    assert source.read("NORMAL/a.png") == b"abc"


def test_a_missing_entry_is_not_taken_for_a_missing_folder(write):
    source = open_source(str(write({"NORMAL/a.png": b"abc"})))
    with pytest.raises(EntryError, match=r"NORMAL/b\.png cannot be read: No such file"):
        source.read("NORMAL/b.png")


def test_a_folder_that_another_machine_lacks_is_named_once_and_not_for_each_picture(write):
    root = write({"NORMAL/a.png": b"abc"})
    source = open_source(str(root))
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(SourceError, match=r"does not exist on this machine .*s3://"):
        source.read("NORMAL/a.png")
    with pytest.raises(SourceError, match="does not exist on this machine"):
        list(source.entries())


def test_links_are_followed_and_a_loop_of_them_ends(write):
    root = write({"NORMAL/a.png": b"abc"})
    (root / "NORMAL/back").symlink_to(root, target_is_directory=True)
    (root / "NORMAL/gone.png").symlink_to(root / "missing.png")
    entries = {entry.path: entry for entry in open_source(str(root)).entries()}
    assert entries["NORMAL/gone.png"].version == "missing"
    assert 2 < len(entries) < 40


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(write):
    root = write({"NORMAL/a.png": b"abc"})
    (root / "NORMAL").chmod(0)
    try:
        with pytest.raises(SourceError, match="NORMAL' cannot be listed: Permission denied"):
            list(open_source(str(root)).entries())
    finally:
        (root / "NORMAL").chmod(0o755)
