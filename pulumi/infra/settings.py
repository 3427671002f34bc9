"""What the settings of every stack share: the error that a wrong one raises, secrets, and the commit."""

import subprocess
from pathlib import Path

import pulumi

from infra.secrets import setting

ROOT = Path(__file__).resolve().parents[2]


class SettingError(ValueError):
    """A setting of the stack is missing or wrong; the message names it, what it takes and an example."""


def read_secret(name: str) -> pulumi.Output[str]:
    """A secret of the stack; raises SettingError where it has not been made."""
    value = pulumi.Config().get_secret(setting(name))
    if value is None:
        raise SettingError(f"{setting(name)} is not set in {pulumi.get_stack()}; `make stack` makes every secret.")
    return value


def read_commit() -> str:
    """The commit that is checked out, which the images carry."""
    try:
        command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # an archive without git
