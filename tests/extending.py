"""The diffs of `docs/contributing.md`, applied to a scratch copy of the repository, and tests run there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs/contributing.md", ROOT / "docs/contributing.pt-BR.md")
_DIFF = re.compile(r"^<!-- (?P<name>[a-z ]+) -->\n```diff\n(?P<diff>.*?)^```$", re.MULTILINE | re.DOTALL)
_ROOMS = ("features", "registry", "ray_jobs", "serve", "pulumi", "compose", "notebooks", "benchmarks", "tests")


def diffs(page: Path) -> dict[str, str]:
    """Each extension that a page walks through, and its diff."""
    return {found["name"]: found["diff"] for found in _DIFF.finditer(page.read_text())}


def extend(folder: Path, extension: str) -> Path:
    """A copy of the repository in an empty folder, with the diff of one extension applied to it."""
    for room in _ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "secrets"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    subprocess.run(["git", "apply", "-"], cwd=folder, input=diffs(PAGES[0])[extension], text=True, check=True)
    return folder


def run_tests(folder: Path, *arguments: str) -> str:
    """What pytest prints in a copy, as the page says to call it; fails where a test there does."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
