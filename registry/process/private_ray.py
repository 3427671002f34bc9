"""A Ray that a process starts for itself: no other process joins it, and one that does not start is tried once more."""

import contextlib
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Collection, Iterator
from functools import cache, partialmethod
from pathlib import Path

from registry.errors import FixableError

_END_S = 5.0


class RayStartError(FixableError):
    """Ray did not start on this machine; the message says why."""


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


@contextlib.contextmanager
def with_own_agent_port(parameters: type) -> Iterator[None]:
    """Let the Ray that starts in the block give its agent a free port.

    Each Ray would take the same one, by which a Ray that people share is given its jobs: one that `ray start` starts
    later would then take none. `ray.init` has no argument for it, so Ray's own `parameters`, its class `RayParams`, get
    another default meanwhile.
    """
    begin = parameters.__init__  # type: ignore[misc]
    parameters.__init__ = partialmethod(begin, dashboard_agent_listen_port=None)  # type: ignore[misc]
    try:
        yield
    finally:
        parameters.__init__ = begin  # type: ignore[misc]


def start_private(init: Callable[[], object], *, forget: Callable[[], object], tell: Callable[[str], object]) -> None:
    """Call `init`, which is `ray.init(address="local")`, and once more where that failed.

    Ray gives its processes 30 s, which no setting changes; a slow or busy machine needs more the first time, when
    nothing of Ray is in memory yet. Between the two, what the first try started is ended, and `forget` makes Ray's
    library forget it; `tell` hears that there is a second try.

    Raises
    ------
    RayStartError
        If the second try fails as well, or if the first one failed by what a second cannot change.
    """
    for final in (False, True):
        before = _descendants()
        try:
            init()
        except Exception as error:  # Ray raises a bare one where the machine is too busy
            end_processes(_descendants(beside=before))
            forget()
            if final or _lasts(error):
                again = " A second try failed as well." if final else ""
                raise RayStartError(
                    f"Ray did not start on this machine: {_brief(error)}.{again} Close what keeps the machine busy or "
                    "fills its disk, and try again; the newest folder in /tmp/ray holds Ray's own logs."
                ) from error
            tell(f"Ray did not start: {_brief(error)}. Trying once more.")
        else:
            return


def _lasts(error: Exception) -> bool:
    """Whether a second try cannot change it: a folder that cannot be written, say. A lost connection may come back."""
    return isinstance(error, (OSError, ValueError)) and not isinstance(error, (ConnectionError, TimeoutError))


def _brief(error: Exception) -> str:
    """The first sentence of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(". :")


def end_processes(pids: set[int]) -> None:
    """End processes, with a moment to do it by themselves."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + _END_S
        while (pids := {pid for pid in pids if _is_running(pid)}) and time.monotonic() < end:
            time.sleep(0.05)


def _is_running(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child that has ended stays until it is collected
    return _parent_of(Path(f"/proc/{pid}")) is not None


def _descendants(*, beside: Collection[int] = ()) -> set[int]:
    """The processes below this one, but for some and what is below those."""
    parents = {int(entry.name): _parent_of(entry) for entry in Path("/proc").glob("[0-9]*")}
    found, added = set[int](), {os.getpid()}
    while added:
        added = {pid for pid, parent in parents.items() if parent in added} - found - set(beside)
        found |= added
    return found


def _parent_of(entry: Path) -> int | None:
    """The parent of a process; None where it has ended."""
    try:
        state, parent = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)


@cache
def _token() -> str:
    return secrets.token_hex(32)
