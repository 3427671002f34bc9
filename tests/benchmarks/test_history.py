"""An earlier commit comes from the history, and the work tree stays."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import history


def test_an_earlier_commit_is_unpacked_and_the_work_tree_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setattr(history, "ROOT", project)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(history.NoHistoryError, match="not a git repository"):
        history.unpacked("HEAD", tmp_path / "before")
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    for text in ("old", "new"):
        (project / "file").write_text(text)
        subprocess.run(["git", "add", "."], cwd=project, check=True)
        subprocess.run(["git", *identity, "commit", "--quiet", "-m", text], cwd=project, check=True)
    assert (history.unpacked("HEAD^", tmp_path / "before") / "file").read_text() == "old"
    assert (project / "file").read_text() == "new"
    with pytest.raises(history.NoHistoryError, match="nowhere"):
        history.unpacked("nowhere", tmp_path / "before")
