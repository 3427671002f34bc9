"""The project as one archive, for a machine that has neither our images nor git: the same bytes for the same files."""

import io
import re
import zipfile
from pathlib import Path

from infra.settings import ROOT

_FOLDERS = ("features", "registry", "ray_jobs", "notebooks")
_NEVER = {"__pycache__", ".ipynb_checkpoints"}
CONSTRAINTS = "constraints.txt"


def archive() -> bytes:
    """A ZIP of what a notebook needs: what it imports, itself, and the versions that all of it was tested with."""
    files = {str(path.relative_to(ROOT)): path.read_bytes() for folder in _FOLDERS for path in _files(ROOT / folder)}
    files["pyproject.toml"] = (ROOT / "pyproject.toml").read_bytes()
    files[CONSTRAINTS] = constraints((ROOT / "requirements.lock").read_text()).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(files):
            target.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)  # dated 1980, whatever the clock
    return packed.getvalue()


def constraints(lock: str) -> str:
    """The versions of a lock without their hashes, which would be three quarters of the archive."""
    return re.sub(r" *\\\n +--hash=\S+", "", lock)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not _NEVER & set(path.parts)]
