"""The file with the credentials of a stack's buckets."""

from argparse import Namespace
from pathlib import Path

import pytest

from ray_jobs.backups.command import places_in
from ray_jobs.backups.database import SqliteDatabase
from registry.errors import UsageError
from registry.settings import Settings


def places(file: Path) -> list[str]:
    options = Namespace(artefacts="s3://files", endpoint="http://localhost:9000", credentials=file, folder=[])
    settings = Settings(state_uri="s3://state/of")
    return [place.home for place in places_in(settings, options, SqliteDatabase(file=file.with_name("mlflow.db")))]


def test_a_key_may_hold_any_sign(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = me\naws_secret_access_key = 50%(of)s%\n")
    assert places(file) == ["s3://files", "s3://state/of"]


@pytest.mark.parametrize("content", [b"no section = 1\n", b"\xff\xfe", b"[default]\nnothing\n"])
def test_a_file_that_holds_no_credentials_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "credentials"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=f"--credentials is {file}, which cannot be read: "):
        places(file)
