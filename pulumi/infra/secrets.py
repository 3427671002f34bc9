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
    lines = [line.strip() for line in current.replace(",", "\n").splitlines()]
    holders = [line.partition(":")[0] for line in lines if line and not line.startswith("#")]
    return ",".join(f"{holder}:{generate()}" for holder in holders) or generate(name)


def first_key(keys: str) -> str:
    """The key itself of the first holder in a list of API keys; empty where there is none."""
    lines = (line.strip() for line in keys.replace(",", "\n").splitlines())
    return next((line.partition(":")[2].strip() for line in lines if ":" in line and not line.startswith("#")), "")


def setting(name: str) -> str:
    """The name of a secret as a setting of the Pulumi stack: `ray-token` is `rayToken`."""
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)
