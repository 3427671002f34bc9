"""Servers in processes of their own: waiting until one answers, and ending it with all that it started."""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import last_line
from serve.__main__ import end_session

ENDS_WITHIN_S = 120.0
_LOOK_S, _ANSWERS_WITHIN_S = 0.2, 5.0


class NotStartedError(Exception):
    """A server that does not answer; the message says what it wrote last."""


def free_ports() -> Iterator[int]:
    """Free ports, each with a free one after it, below those that a system, and so Ray, hands out by itself."""
    for port in range(21_000, 30_000, 10):
        with socket.socket() as one, socket.socket() as another:
            try:
                one.bind(("127.0.0.1", port))
                another.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        yield port


def begin(command: list[str], folder: Path, environment: dict[str, str], log: Path) -> subprocess.Popen:
    """Start a process in a session of its own, which writes to a log."""
    with log.open("wb") as file:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True)


def wait_for(process: subprocess.Popen, port: int, path: str, log: Path, *, seconds: float) -> None:
    """Return as soon as a path of this machine is answered with 200; raises NotStartedError."""
    end = time.monotonic() + seconds
    while not _answers(port, path):
        last = last_line(log.read_text(errors="replace")) or "nothing"
        if (code := process.poll()) is not None:
            raise NotStartedError(f"it ended with {code}, and wrote last: {last}")
        if time.monotonic() > end:
            raise NotStartedError(f"it does not answer after {seconds:.0f} s, and wrote last: {last}")
        time.sleep(_LOOK_S)


def stop(*processes: subprocess.Popen) -> None:
    """End processes that `begin` started, and what is left of their sessions."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        process.wait(ENDS_WITHIN_S)
        end_session(process.pid)


def _answers(port: int, path: str) -> bool:
    """Whether a path is answered with 200. A client that reads certificates would take a core from who starts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWERS_WITHIN_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
