"""Pulumi's real engine runs the program of a stack on AWS and its policy pack, over a provider that makes nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import ROOT
from tests.infra.support.graph import CIDRS, REGION, TLS
from tests.infra.support.recorded import SECRETS

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not (shutil.which("pulumi") and shutil.which("pulumi-language-python")),
        reason="pulumi and its plugin for Python are not on the PATH",
    ),
]


class Project:
    """The program in a folder of its own, with a state of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "state", "home"):
            (folder / name).mkdir()
        for plugin in ("aws", "docker"):
            script = folder / "bin" / f"pulumi-resource-{plugin}"
            script.write_text(f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m tests.infra.support.plugin "$@"\n')
            script.chmod(0o755)
        self.take(ROOT)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        self.environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'pulumi'}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self.run("stack", "init", "aws")
        settings = {"allowedCidrs[0]": CIDRS[0], "allowedCidrs[1]": CIDRS[1], "alertEmail": "team@example.com"}
        settings |= {"aws:region": REGION, **TLS}
        for name, value in settings.items():
            self.run("config", "set", "--path", name, value, "--stack", "aws")
        for name, value in SECRETS.items():
            self.run("config", "set", "--secret", name, value, "--stack", "aws")

    def take(self, tree: Path) -> None:
        """Have the program of another tree."""
        shutil.rmtree(self.folder / "pulumi", ignore_errors=True)
        shutil.copytree(tree / "pulumi", self.folder / "pulumi", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(tree / "compose", self.folder / "compose", dirs_exist_ok=True)
        for name in ("Pulumi.yaml", "pyproject.toml", "requirements.lock"):
            shutil.copy(tree / name, self.folder / name)

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", "--non-interactive", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stdout[-4000:]} {done.stderr[-4000:]}"
        return done

    def preview(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("preview", "--stack", "aws", "--policy-pack", "pulumi/policy", check=check)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    return Project(tmp_path)


def test_a_first_preview_passes_every_rule_and_one_that_breaks_stops_it(project: Project):
    assert "hm-mlflow" in project.preview().stdout
    buckets = project.folder / "pulumi" / "infra" / "aws" / "data" / "buckets.py"
    changed = buckets.read_text().replace(
        'versioning_configuration={"status": "Enabled"}', 'versioning_configuration={"status": "Suspended"}'
    )
    assert changed != buckets.read_text()
    buckets.write_text(changed)
    refused = project.preview(check=False)
    assert refused.returncode != 0
    assert "buckets-keep-versions" in refused.stdout + refused.stderr
