"""What the settings of every stack share: the error that a wrong one raises, the product's, secrets, the commit."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pulumi

from infra.options import Options
from infra.secrets import GIVEN, setting

_ENDPOINT = re.compile(r"https?://[^/?#\s]+/?")
RETRAIN = ("off", "weekly", "on-drift")
ROOT = Path(__file__).resolve().parents[2]
_LOCAL_STACK = re.compile(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?")


class SettingError(ValueError):
    """A setting of the stack is missing or wrong; the message names it, what it takes and an example."""


def read_options(*, login: bool, approval: bool, keys: bool) -> Options:
    """The product's settings; `approval` and `keys` hold where theirs are empty. Raises SettingError."""
    config = pulumi.Config()
    signing, trusted = (config.get_secret(setting(name)) is not None for name in GIVEN)
    return Options(
        login=login,
        approval=switch("approval", config.get("approval") or "", {"required": True, "off": False}, approval),
        abstain=switch("abstain", config.get("abstain") or "", {"near-threshold": True, "off": False}, False),
        records=switch("predictionRecords", config.get("predictionRecords") or "", {"on": True, "off": False}, True),
        keys=switch("keys", config.get("keys") or "", {"on": True, "off": False}, keys),
        signing=signing,
        trusted=trusted,
        traces=_traces(config.get("tracesEndpoint") or ""),
    )


def _traces(value: str) -> str:
    takes, example = "an address of OTLP over gRPC", "http://collector.example.org:4317"
    if not value:
        return ""
    address = matching("tracesEndpoint", value, _ENDPOINT, takes=takes, example=example)
    try:
        urlsplit(address).port  # noqa: B018  it raises where there can be no such port
    except ValueError as error:
        raise SettingError(
            f"tracesEndpoint is {value!r} ({error}); it takes {takes}, for example: pulumi config set tracesEndpoint "
            f"{example}"
        ) from None
    return address


def matching(name: str, value: str, pattern: re.Pattern[str], *, takes: str, example: str) -> str:
    """A value in the form that its setting takes; raises SettingError."""
    if not pattern.fullmatch(value):
        raise SettingError(f"{name} is {value!r}; it takes {takes}, for example: pulumi config set {name} {example}")
    return value


def switch(name: str, value: str, taken: Mapping[str, bool], default: bool) -> bool:
    """What a setting of two words says; the default where it says nothing."""
    return taken[one_of(name, value, tuple(taken))] if value else default


def check_local_stack(name: str) -> None:
    """Raises SettingError for a name that images, buckets and containers cannot have, or that was meant for AWS."""
    if not _LOCAL_STACK.fullmatch(name) or name.startswith("aws"):
        raise SettingError(
            f"The stack is called {name!r}; it takes local, or another name of up to 22 small letters, digits and "
            "hyphens, for this machine, and aws or aws-NAME for AWS"
        )


def one_of(name: str, value: str, taken: Sequence[str]) -> str:
    """A value that is one of those that its setting takes; raises SettingError."""
    if value not in taken:
        raise SettingError(
            f"{name} is {value!r}; it takes {' or '.join(taken)}, for example: pulumi config set {name} {taken[0]}"
        )
    return value


def read_secret(name: str) -> pulumi.Output[str]:
    """A secret of the stack; raises SettingError where it has not been made."""
    value = pulumi.Config().get_secret(setting(name))
    if value is None:
        raise SettingError(f"{setting(name)} is not set in {pulumi.get_stack()}; `make stack` makes every secret.")
    return value


def read_retrain(config: pulumi.Config) -> str:
    """When there is a retraining: `off`, `weekly` or `on-drift`; raises SettingError for anything else."""
    value = config.get("retrain") or "off"
    if value not in RETRAIN:
        raise SettingError(
            f"retrain is {value!r}; it takes {' or '.join(RETRAIN)}, for example: pulumi config set retrain weekly"
        )
    return value


def read_commit() -> str:
    """The commit that is checked out, which the images carry."""
    try:
        command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # an archive without git
