"""Requests of this program to its own servers, straight to this machine whatever proxy the environment names."""

import time
from typing import Any

import httpx

_LOOK_S = 0.25
_TIMEOUT_S = 5.0


def ask(url: str, *, key: str | None = None) -> tuple[int, dict[str, Any]] | None:
    """Status and JSON object of one of our addresses, an empty object for any other body; None if nothing answers."""
    headers = {"X-API-Key": key} if key else {}
    try:
        # Without `trust_env=False` a request to loopback goes through HTTP_PROXY, which cannot reach this machine.
        with httpx.Client(trust_env=False, timeout=_TIMEOUT_S) as client:
            response = client.get(url, headers=headers)
    except httpx.HTTPError:  # nothing listens, or it does not speak HTTP
        return None
    try:
        body = response.json()
    except ValueError:
        body = {}
    return response.status_code, body if isinstance(body, dict) else {}


def wait_for(url: str, *, seconds: float, status: int = 200) -> bool:
    """Whether an address answers with a status within a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask(url)
        if answer and answer[0] == status:
            return True
        time.sleep(_LOOK_S)
    return False
