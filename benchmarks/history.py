"""An earlier commit of this project, from git's history, without touching the work tree."""

import subprocess
import tarfile
from pathlib import Path

from benchmarks.report import last_line
from registry.settings import ROOT


class NoHistoryError(Exception):
    """The earlier commit is not to be had; the message says why."""


def git(*arguments: str) -> str:
    """What git says about this project; raises NoHistoryError with its last line."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except OSError as error:
        raise NoHistoryError(f"git cannot be run: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise NoHistoryError(last_line(error.stderr) or "git failed") from error
    return done.stdout.strip()


def unpacked(commit: str, folder: Path, *paths: str) -> Path:
    """The files of a commit, or of some paths in it, in a folder that is made; raises NoHistoryError."""
    archive = folder.with_suffix(".tar")
    git("archive", "--format=tar", f"--output={archive}", commit, *paths)
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder
