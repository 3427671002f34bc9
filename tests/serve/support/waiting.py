"""Waiting for what happens in another thread or process, and ports that are free."""

import socket
import time
from collections.abc import Callable

import httpx


def until(condition: Callable[[], object], *, seconds: float = 60.0, every: float = 0.05) -> None:
    """Return once a condition holds; the time is only a bound on hanging, nothing is measured by it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not come true within {seconds} s"
        time.sleep(every)


def answers(url: str) -> bool:
    """Whether a server answers at an address, and with 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
