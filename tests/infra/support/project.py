"""The program in a folder of its own, run by Pulumi's real engine over a provider that makes nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.history import NoHistoryError, unpacked
from infra.settings import ROOT
from tests.infra.support.graph import CIDRS, REGION, TLS
from tests.infra.support.recorded import SECRETS

# The last commit of before resources stood in groups.
UNGROUPED = "26d0c63"
_PARTS = ("pulumi", "compose", "Pulumi.yaml", "pyproject.toml", "requirements.lock")
_SETTINGS = {
    "local": {},
    "aws": {
        "aws:region": REGION,
        "allowedCidrs[0]": CIDRS[0],
        "allowedCidrs[1]": CIDRS[1],
        "alertEmail": "team@example.com",
        **TLS,
    },
}
real = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not (shutil.which("pulumi") and shutil.which("pulumi-language-python")),
        reason="pulumi and its plugin for Python are not on the PATH",
    ),
]


class Project:
    """A stack with a state of its own."""

    def __init__(self, folder: Path, stack: str, **settings: str) -> None:
        self.folder, self.stack = folder, stack
        for name in ("bin", "state", "home"):
            (folder / name).mkdir()
        for plugin in ("aws", "docker"):
            script = folder / "bin" / f"pulumi-resource-{plugin}"
            script.write_text(
                f"#!/bin/sh\ncd {ROOT}\nexport PYTHONPATH={ROOT}:{ROOT / 'pulumi'}\n"
                f'exec {sys.executable} -m tests.infra.support.plugin "$@"\n'
            )
            script.chmod(0o755)
        self.take_today()
        (folder / ".venv").symlink_to(Path(sys.prefix))
        self.environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self.run("stack", "init", stack)
        for name, value in (_SETTINGS[stack] | settings).items():
            self.configure(name, value)
        for name, value in SECRETS.items():
            self.run("config", "set", "--secret", name, value, "--stack", stack)

    def take_today(self) -> None:
        """Have the program as it is."""
        self._take(ROOT)

    def _take(self, tree: Path) -> None:
        for name in _PARTS:
            place = self.folder / name
            if (tree / name).is_dir():
                shutil.rmtree(place, ignore_errors=True)
                ignored = shutil.ignore_patterns("__pycache__", "secrets")
                shutil.copytree(tree / name, place, ignore=ignored)
            else:
                shutil.copy(tree / name, place)

    def take_ungrouped(self) -> None:
        """Have the program of before there were groups; skips the test where the history does not reach back to it."""
        try:
            tree = unpacked(UNGROUPED, self.folder / "ungrouped", *_PARTS)
        except NoHistoryError as error:
            pytest.skip(f"commit {UNGROUPED} is not in this clone's history: {error}")
        self._take(tree)

    def configure(self, name: str, value: str) -> None:
        self.run("config", "set", "--path", name, value, "--stack", self.stack)

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", "--non-interactive", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stdout[-4000:]} {done.stderr[-4000:]}"
        return done

    def up(self) -> None:
        self.run("up", "--stack", self.stack, "--yes", "--skip-preview")

    def down(self, *words: str) -> None:
        self.run("destroy", "--stack", self.stack, "--yes", "--skip-preview", *words)

    def preview(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("preview", "--stack", self.stack, *words, check=check)

    def steps(self) -> dict[str, set[str]]:
        """What a preview says it would do, by the word for it: each resource as its type and its name."""
        told = json.loads(self.preview("--json", "--show-sames").stdout)
        found: dict[str, set[str]] = {}
        for step in told["steps"]:
            *_, kinds, name = step["urn"].split("::")
            found.setdefault(step["op"], set()).add(f"{kinds.split('$')[-1]} {name}")
        return found
