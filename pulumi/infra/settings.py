"""The settings of a stack: the only reader of Pulumi's configuration."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pulumi

from infra.secrets import setting

ROOT = Path(__file__).resolve().parents[2]
_MOST_WORKERS = 64


class SettingError(ValueError):
    """A setting of the stack is missing or wrong; the message names it, what it takes and an example."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `pulumi config` says, described in Pulumi.yaml; `optional` names the optional services that are wanted."""

    workers: int
    optional: frozenset[str]
    login: bool
    keep_data: bool
    commit: str


def read_settings() -> Settings:
    """Read and check the configuration; raises SettingError."""
    config = pulumi.Config()
    workers = config.require_int("workers")
    if not 0 <= workers <= _MOST_WORKERS:
        raise SettingError(
            f"workers is {workers}; it takes 0 to {_MOST_WORKERS}, for example: pulumi config set workers 4"
        )
    return Settings(
        workers=workers,
        optional=frozenset({"jupyter"} if config.require_bool("jupyter") else ()),
        login=config.require_bool("login"),
        keep_data=config.require_bool("keepData"),
        commit=read_commit(),
    )


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
