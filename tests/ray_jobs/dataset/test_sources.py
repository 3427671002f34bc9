"""What DATA_URI takes, and what a folder yields."""

import os
import pickle
from pathlib import Path

import pytest

from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import EntryError, SourceError
from ray_jobs.dataset.sources import kind_of, open_source
from tests.rights import of_an_ordinary_user


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "DATA_URI is empty; it takes a folder"),
        ("gs://bucket/x", r"'gs://bucket/x': scheme 'gs' is not known; it takes a folder .*s3://.*kaggle:.*synthetic:"),
        ("https://nurse:pw@nas/x", r"'https://nurse:\*\*\*@nas/x': scheme 'https' is not known"),
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


def test_what_systems_add_to_a_folder_is_not_listed(write):
    added = ["$RECYCLE.BIN/NORMAL/a.png", "#recycle/NORMAL/a.png", "System Volume Information/x", "lost+found/x"]
    added += ["NORMAL/@eaDir/a.png", "NORMAL/Thumbs.db", "NORMAL/thumbs.db", "desktop.ini", "__macosx/NORMAL/a.png"]
    root = write({"NORMAL/a.png": b"abc", "NORMAL/#1/b.png": b"b", **dict.fromkeys(added, b"x")})
    assert {entry.path for entry in open_source(str(root)).entries()} == {"NORMAL/a.png", "NORMAL/#1/b.png"}


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


def test_each_file_is_listed_once_by_its_real_path_whatever_links_lead_to_it(write):
    root = write({"train/NORMAL/a.png": b"abc", "val/NORMAL/b.png": b"abcd"})
    for link, target in {
        "train/loop": "..",
        "train/NORMAL/self": ".",
        "0": "train",
        "val/up": "../..",
        "0/1": "..",
    }.items():
        (root / link).symlink_to(target, target_is_directory=True)
    assert {entry.path for entry in open_source(str(root)).entries()} == {"train/NORMAL/a.png", "val/NORMAL/b.png"}


def test_links_that_lead_out_of_the_folder_are_followed_once_each_by_the_shortest(write, tmp_path):
    pool = write({"a.png": b"abc", "deep/b.png": b"abcd"}, "pool")
    (pool / "deep/round").symlink_to(pool, target_is_directory=True)
    root = write({"train/x.txt": b"x"})
    for link in ("train/NORMAL", "NORMAL", "PNEUMONIA"):
        (root / link).symlink_to(pool, target_is_directory=True)
    (root / "one.png").symlink_to(pool / "a.png")
    entries = {entry.path: entry.linked for entry in open_source(str(root)).entries()}
    assert entries == {"train/x.txt": False, "one.png": True, "NORMAL/a.png": False, "NORMAL/deep/b.png": False}


def test_links_to_nowhere_and_to_themselves_are_listed_and_cannot_be_read(write):
    root = write({"NORMAL/a.png": b"abc"})
    (root / "NORMAL/gone.png").symlink_to(root / "missing.png")
    (root / "NORMAL/self.png").symlink_to("self.png")
    source = open_source(str(root))
    entries = {entry.path: entry for entry in source.entries()}
    assert set(entries) == {"NORMAL/a.png", "NORMAL/gone.png", "NORMAL/self.png"}
    for name in ("gone", "self"):
        assert entries[f"NORMAL/{name}.png"].version == "missing"
        with pytest.raises(EntryError, match=f"NORMAL/{name}.png cannot be read"):
            source.read(f"NORMAL/{name}.png")


def test_a_pipe_is_no_picture_and_is_not_waited_for(write):
    root = write({"NORMAL/a.png": b"abc"})
    os.mkfifo(root / "NORMAL/pipe.png")
    with pytest.raises(EntryError, match=r"NORMAL/pipe\.png is no regular file"):
        open_source(str(root)).read("NORMAL/pipe.png")


@pytest.mark.parametrize("name", ["my x-rays", "100%25", "a#b?c&d=é", "t\udcf3rax"])
@pytest.mark.parametrize("host", ["", "localhost"])
def test_an_address_of_a_folder_is_decoded(tmp_path, name, host):
    root = tmp_path / name
    try:
        root.mkdir()
    except OSError as error:
        pytest.skip(reason=f"this filesystem takes no such name: {error}")
    address = root.as_uri()
    assert open_source(address.replace("file://", f"file://{host}")) == open_source(str(root))
    assert open_source(address.replace("file://", "file:")) == open_source(str(root))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://nas/x-rays", "'file://nas/x-rays' names 'nas' as the machine; .*three slashes"),
        ("file:x-rays", "'file:x-rays' holds no absolute path, such as file:///data"),
        ("file:///a%00b", "holds a zero byte"),
        ("file:///no%20where", "the folder '/no where' does not exist"),
    ],
)
def test_an_address_of_no_folder_here_is_refused(uri, message):
    with pytest.raises(SourceError, match=message):
        open_source(uri)


def test_a_folder_that_may_not_be_listed_or_entered_and_a_file_that_may_not_be_read_are_named(write):
    root = write({"NORMAL/a.png": b"abc", "PNEUMONIA/b.png": b"abc"})
    (root / "NORMAL").chmod(0)
    (root / "PNEUMONIA/b.png").chmod(0)
    with of_an_ordinary_user():
        with pytest.raises(SourceError, match="NORMAL/' cannot be listed: Permission denied"):
            list(open_source(str(root)).entries())
        with pytest.raises(SourceError, match="NORMAL/inside' of DATA_URI cannot be opened: Permission denied"):
            open_source(str(root / "NORMAL" / "inside"))
        with pytest.raises(EntryError, match=r"PNEUMONIA/b\.png cannot be read: Permission denied"):
            open_source(str(root)).read("PNEUMONIA/b.png")
    (root / "NORMAL").chmod(0o755)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("synthetic:600", "generated"),
        ("s3://bucket/xrays", "bucket"),
        ("kaggle:owner/name", "kaggle"),
        ("/clinic/xrays", "folder"),
        ("/clinic/synthetic:600", "folder"),
    ],
)
def test_an_address_tells_generated_pictures_from_those_of_children(uri: str, kind: str):
    assert kind_of(uri) == kind


def test_a_link_that_leads_to_itself_and_a_name_that_is_too_long_are_no_folder_and_told(tmp_path: Path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SourceError, match=r"loop' of DATA_URI cannot be opened: Symlink loop"):
        open_source(str(tmp_path / "loop"))
    with pytest.raises(SourceError, match="cannot be opened: File name too long"):
        open_source("x" * 300)


def test_a_home_that_is_not_here_is_told_and_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="'~nobody-here/x' begins with ~nobody-here, a home folder that is not known"):
        open_source("~nobody-here/x")
    assert list(tmp_path.iterdir()) == []
