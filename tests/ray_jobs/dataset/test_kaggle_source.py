"""The Kaggle source: kagglehub's own cache laid out like the archive, and what it says where there is no network."""

from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem

from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.errors import SourceError
from ray_jobs.dataset.kaggle_source import download
from ray_jobs.dataset.sources import open_source

from .conftest import cohort

pytest.importorskip("kagglehub")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache as kagglehub leaves it after downloading version 2: pictures twice, and what macOS added."""
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    versions = tmp_path / "cache/datasets/paultimothymooney/chest-xray-pneumonia/versions"
    pictures = cohort(above="train/") | cohort(2, above="val/", first=500) | cohort(3, above="test/", first=600)
    for above in ("chest_xray", "chest_xray/chest_xray"):
        for path, data in pictures.items():
            target = versions / "2" / above / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            (target.parent / ".DS_Store").write_bytes(b"x")
    junk = versions / "2/chest_xray/__MACOSX/chest_xray/train/NORMAL/._IM-0001-0001.png"
    junk.parent.mkdir(parents=True)
    junk.write_bytes(b"x")
    (versions.parent / "2.complete").touch()
    (versions / "2.complete").touch()
    return versions / "2"


def test_the_cached_archive_gives_every_picture_once(archive: Path, tmp_path: Path):
    source = open_source("kaggle:paultimothymooney/chest-xray-pneumonia/versions/2")
    assert source.uri == "kaggle:paultimothymooney/chest-xray-pneumonia/versions/2"
    manifest = build_manifest(source, filesystem=LocalFileSystem(), base=str(tmp_path / "state"))
    assert manifest.rows == 2 * (40 + 2 + 3)
    assert manifest.quarantined == {}
    assert manifest.pictures["test"] == {"NORMAL": 3, "PNEUMONIA": 3}


def test_the_folder_that_it_downloads_is_read(archive: Path):
    def fetch(handle: str) -> str:
        assert handle == "paultimothymooney/chest-xray-pneumonia"
        return str(archive)

    assert download("paultimothymooney/chest-xray-pneumonia", fetch=fetch) == str(archive)


def test_a_failed_download_names_the_dataset_the_reason_and_the_remedies():
    def fetch(handle: str) -> str:
        raise ConnectionError("no route to host\nand more")

    with pytest.raises(
        SourceError, match=r"'owner/name' cannot be downloaded: ConnectionError: no route to host\. Check .*KAGGLE_KEY"
    ):
        download("owner/name", fetch=fetch)
