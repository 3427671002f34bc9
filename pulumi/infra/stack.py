"""Make a Pulumi stack ready: a state folder, a passphrase, the stack, and every secret that it lacks.

Nothing that git tracks is touched, and what is there already stays as it is.
"""

import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.secrets import generate, setting

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".local" / "pulumi"
PASSPHRASE = STATE / "passphrase"
HIDDEN = "[secret]"
# What Pulumi says where there is no such stack, or none at all; and beside these, where there is no such setting.
_NO_STACK = ("no stack named", "unable to open state directory")
_NOT_SET = ("not found for stack", *_NO_STACK)


class StackError(RuntimeError):
    """Pulumi is missing or refused; the message says what to do or what it said."""


def prepare(stack: str, names: tuple[str, ...], files: Path | None = None) -> list[str]:
    """Prepare a stack with these secrets, those in `files` or new ones; gives the names of those that were set.

    Raises
    ------
    StackError
        If the command pulumi is missing, or refuses.
    """
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not PASSPHRASE.exists():
        with os.fdopen(os.open(PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    run_pulumi("stack", "select", "--create", stack)
    made = []
    for name in names:
        current = read_setting(setting(name), stack)
        wanted = (files / name).read_text() if files else current or generate(name)
        if wanted != current:
            set_secret(stack, name, wanted)
            made.append(name)
    return made


def set_secret(stack: str, name: str, text: str) -> None:
    """Give a secret of a stack its value, encrypted, and past any listing of processes."""
    run_pulumi("config", "set", "--secret", setting(name), "--stack", stack, text=text)


def read_setting(name: str, stack: str) -> str | None:
    """A setting of a stack, secret or not; None where it is not set.

    Raises
    ------
    StackError
        If it cannot be read: a secret that is there would be made anew.
    """
    found = run_pulumi("config", "get", name, "--stack", stack, check=False)
    if found.returncode == 0:
        return found.stdout.strip()
    if not any(words in found.stderr for words in _NOT_SET):
        raise StackError(f"The setting {name} of {stack} cannot be read: {found.stderr.strip()}")
    return None


def described() -> dict[str, Any]:
    """What Pulumi.yaml has for each setting."""
    settings = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return {name: one["default"] for name, one in settings.items()}


def settings_of(stack: str) -> dict[str, Any]:
    """The stack's settings over what Pulumi.yaml has for each; that alone where there is no such stack yet.

    What is secret is there as `HIDDEN`.
    """
    values = described()
    try:
        done = run_pulumi("config", "--json", "--stack", stack)
    except StackError:
        return values
    entries = json.loads(done.stdout).items()
    return values | {name.removeprefix("hm-mlflow:"): entry.get("value", HIDDEN) for name, entry in entries}


def resources_of(stack: str) -> list[tuple[str, str]]:
    """Pulumi's type and name of each resource that a stack has made, also where the last `make up` did not end."""
    exported = json.loads(run_pulumi("stack", "export", "--stack", stack).stdout)
    found = exported["deployment"].get("resources") or []
    return [(one["type"], one["urn"].rsplit("::", 1)[1]) for one in found if one.get("custom")]


def run_pulumi(*arguments: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of Pulumi's; raises StackError if it is missing, or with `check` if it refuses.

    Where it refuses because there is no such stack yet, the error says what makes it.
    """
    environment = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(PASSPHRASE), "PULUMI_SKIP_UPDATE_CHECK": "true"} | os.environ
    command = ["pulumi", "--non-interactive", *arguments]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, env=environment, input=text, text=True, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise StackError(
            "The command pulumi is not on the PATH; install it (https://www.pulumi.com/docs/install), or use "
            "`make secrets` and `docker compose up --build`, which need no Pulumi."
        ) from None
    if check and done.returncode:
        if "--stack" in arguments and any(words in done.stderr for words in _NO_STACK):
            name = arguments[arguments.index("--stack") + 1]
            raise StackError(f"There is no stack {name} yet: make stack STACK={name}, then make up STACK={name}")
        raise StackError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done


def exports(variables: Mapping[str, str | Path]) -> str:
    """The variables as a line for a shell to evaluate, quoted where a path needs it."""
    return "export " + " ".join(f"{name}={shlex.quote(str(value))}" for name, value in variables.items())
