"""How a secret of a stack is made, and the name of its setting."""

import secrets


def generate() -> str:
    """A secret of 192 random bits, in characters that need no quoting anywhere."""
    return secrets.token_hex(24)


def setting(name: str) -> str:
    """The name of a secret as a setting of the Pulumi stack: `ray-token` is `rayToken`."""
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)
