"""Inputs of a resource as Pulumi sends them, as data: secrets are marked, and whole numbers are whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# How Pulumi marks a secret among a resource's inputs: https://www.pulumi.com/docs/iac/concepts/secrets
_MARK, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class Hidden:
    """A value that Pulumi encrypts in its state and hides in its output."""

    value: Any


def plain(value: Any) -> Any:
    """Inputs as Pulumi sends them, with secrets as `Hidden` and whole numbers as such."""
    if isinstance(value, Mapping):
        if value.get(_MARK) == _SECRET:
            return Hidden(plain(value["value"]))
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def hidden_in(value: Any) -> Iterator[Any]:
    """Every value that is marked secret, however deep."""
    if isinstance(value, Hidden):
        yield value.value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from hidden_in(part)
