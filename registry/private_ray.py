"""A Ray that a process starts for itself is private: no other process joins it."""

import logging
import os
import secrets
from functools import cache


def keep_private() -> None:
    """Give the Ray that this process starts next a token that only its own processes know.

    Ray would use the token in the user's home folder, which every other job of that user has as well: with
    `RAY_ADDRESS=auto` such a job would run its work here. Call it before `ray.init(address="local")`; where Ray may
    have read a token already, forget that one with `AuthenticationTokenLoader.reset_cache`.
    """
    os.environ.pop("RAY_AUTH_MODE", None)  # `ray.init` sets it to `token`, in its native part as well
    os.environ["RAY_AUTH_TOKEN"] = _token()
    # A private Ray should have a token; Ray warns of it.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)


@cache
def _token() -> str:
    return secrets.token_hex(32)
