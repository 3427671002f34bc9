"""`python -m serve`: the page, the API and MLflow's own page on this machine, until interrupted.

This process only starts the one that serves, in a session of its own, and hands signals on to it. A terminal's Ctrl-C
and a supervisor's SIGTERM to the whole process group would otherwise end Ray's processes together with the one that
wants to drain them, and its shutdown would wait 30 seconds for a controller that is gone. As a container's first
process it also collects ended children that have no other parent.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from registry.process.raw_lines import pass_on
from registry.settings import SettingsError, load_settings
from serve.logs import chosen

_LAST_LINES_S = 5.0
_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What tells the other process to stop. While Ray starts, it has a handler of its own for SIGTERM, which prints a stack
# and ends the process three seconds later, whatever it is doing then.
_STOP = signal.SIGUSR1


def main() -> int:
    """The exit code of the process that serves."""
    command = [sys.executable, "-m", "serve.lifecycle.session", *sys.argv[1:]]
    _on_signals(lambda *_: sys.exit())  # nothing runs yet that would have to be stopped
    to = subprocess.PIPE if _log_is_json() else None
    child = subprocess.Popen(command, start_new_session=True, stdout=to, stderr=to and subprocess.STDOUT)  # noqa: S603  our own command
    _on_signals(lambda *_: _tell(child.pid))
    passing = threading.Thread(target=pass_on, args=(child.stdout or (), sys.stderr.buffer), daemon=True)
    passing.start()
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            end_session(child.pid)
            passing.join(_LAST_LINES_S)  # another process may have kept the end that is written to
            code = os.waitstatus_to_exitcode(status)
            return 0 if code == -_STOP else code  # it was not yet so far that it would have taken the signal itself


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in _ASKED:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, handler)


def _log_is_json() -> bool:
    """Whether it is; where the settings are wrong, which the other process tells, by the variable alone."""
    try:
        return chosen(load_settings().log_format) == "json"
    except SettingsError:
        return chosen(os.environ.get("LOG_FORMAT", "auto")) == "json"


def end_session(leader: int) -> None:
    """End what a session's leader left behind: Ray may leave its HAProxy running, which keeps the ports in use."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(int(entry.name)) == leader:
                os.kill(int(entry.name), signal.SIGTERM)


def _tell(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, _STOP)


if __name__ == "__main__":
    sys.exit(main())
