"""How a secret of a stack is made, and the name of its setting."""

import secrets

# Secrets that only the team itself can supply: its key pair for versions.
GIVEN = ("signing-key", "trusted-key")
# API keys are told apart by who holds them.
_HOLDERS = {"api-keys": "team", "jobs-api-key": "jobs"}


def generate(name: str = "") -> str:
    """A secret of 192 random bits, in characters that need no quoting anywhere; an API key as `HOLDER:KEY`."""
    made = secrets.token_hex(24)
    return f"{_HOLDERS[name]}:{made}" if name in _HOLDERS else made


def renewed(name: str, current: str) -> str:
    """Another value of a secret. A list of API keys keeps its holders, each with another key."""
    if name not in _HOLDERS:
        return generate(name)
    holders = [holder for holder, _ in _pairs(current)]
    return ",".join(f"{holder}:{generate()}" for holder in holders) or generate(name)


def first_key(keys: str) -> str:
    """The key itself of the first holder in a list of API keys; empty where there is none."""
    return next((key for _, key in _pairs(keys) if key), "")


def _pairs(keys: str) -> list[tuple[str, str]]:
    """The holder and the key of each entry, as `registry.api_keys` reads them."""
    lines = [line for line in keys.splitlines() if not line.lstrip().startswith("#")]
    items = [item.strip() for line in lines for item in line.split(",")]
    pairs = [item.partition(":") for item in items if item and not item.startswith("#")]
    return [(holder, key.strip()) for holder, _, key in pairs]


def setting(name: str) -> str:
    """The name of a secret as a setting of the Pulumi stack: `ray-token` is `rayToken`."""
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)
