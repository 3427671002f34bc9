"""What people type works where a path has a space."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra import __main__ as commands
from infra import stack
from infra.local import container
from infra.settings import ROOT
from tests.infra.support.recorded import record


def evaluated(line: str, variable: str) -> str:
    """What a shell has in a variable after it has evaluated a line."""
    done = subprocess.run(
        ["bash", "-c", f'{line}\nprintf %s "${variable}"'], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_token_s_exports_are_for_a_shell_to_evaluate(
    monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "X-rays of 'May' $HOME"
    monkeypatch.setattr(commands, "SECRETS_FOLDER", folder)
    commands._token("local")
    line = capsys.readouterr().out
    assert evaluated(line, "RAY_AUTH_TOKEN_PATH") == str(folder / "ray-token")
    assert evaluated(line, "RAY_AUTH_MODE") == "token"


def test_the_passphrase_of_a_new_stack_is_told_as_a_shell_takes_it(monkeypatch, tmp_path: Path):
    path = tmp_path / "a folder" / "passphrase"
    assert evaluated(stack.exports({"PULUMI_CONFIG_PASSPHRASE_FILE": path}), "PULUMI_CONFIG_PASSPHRASE_FILE") == str(
        path
    )


def test_make_hands_pulumi_the_passphrase_of_a_checkout_with_spaces(tmp_path: Path):
    checkout = tmp_path / "my X-rays" / "it's here"
    (checkout / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", checkout)
    (checkout / "bin" / "pulumi").write_text('#!/bin/sh\nprintf %s "$PULUMI_CONFIG_PASSPHRASE_FILE" >told\n')
    (checkout / "bin" / "pulumi").chmod(0o755)
    environment = {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["make", "down"], cwd=checkout, env=environment, check=True, capture_output=True)
    assert (checkout / "told").read_text() == str(checkout / ".local" / "pulumi" / "passphrase")


@pytest.mark.parametrize(
    ("machine", "native"), [("x86_64", "linux/amd64"), ("arm64", "linux/arm64"), ("aarch64", "linux/arm64")]
)
def test_images_are_built_for_the_machine_that_runs_them(machine: str, native: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(container.platform, "machine", lambda: machine)
    images = record().of("Image").values()
    assert {image.inputs["build"]["platform"] for image in images} == {native}
