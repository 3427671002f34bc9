"""`python -m serve`: the page, the API and MLflow's own page on this machine, until interrupted.

This process only starts the one that serves, in a session of its own, and hands signals on to it. A terminal's Ctrl-C
and a supervisor's SIGTERM to the whole process group would otherwise end Ray's processes together with the one that
wants to drain them, and its shutdown would wait 30 seconds for a controller that is gone. As a container's first
process it also collects ended children that have no other parent.

With `--train` it starts a training as well. The server gets ready beside it and answers with what it promotes. A
training that fails ends both.
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
# What tells the server to stop. While Ray starts, it has a handler of its own for SIGTERM, which prints a stack
# and ends the process three seconds later, whatever it is doing then.
_STOP = signal.SIGUSR1
_TRAIN = "--train"
_HELP = {"-h", "--help"}


def main() -> int:
    """The exit code of the process that serves, or of a training that failed."""
    arguments = [argument for argument in sys.argv[1:] if argument != _TRAIN]
    helps = not _HELP.isdisjoint(arguments)  # which trains nothing, and is text wherever it goes
    running = dict[int, signal.Signals]()  # what asks each of them to stop
    _on_signals(lambda *_: _stop(running) if running else sys.exit())
    training = None
    if _TRAIN in sys.argv[1:] and not helps:
        training = _begun("ray_jobs.train").pid
        running[training] = signal.SIGINT
        arguments += ["--training", str(training)]
    to = subprocess.PIPE if _log_is_json() and not helps else None
    server = _begun("serve.lifecycle.session", *arguments, to=to)
    running[server.pid] = _STOP
    passing = threading.Thread(target=pass_on, args=(server.stdout or (), sys.stderr.buffer), daemon=True)
    passing.start()
    failed = 0
    while server.pid in running or training in running:
        pid, status = os.wait()
        if running.pop(pid, None) is None:
            continue
        code = os.waitstatus_to_exitcode(status)
        if pid == server.pid and code == -_STOP:
            code = 0  # it was not yet so far that it would have taken the signal itself
        if code or pid == server.pid:
            failed = failed or abs(code)
            _stop(running)
        end_session(pid)
    passing.join(_LAST_LINES_S)  # another process may have kept the end that is written to
    return failed


def _begun(module: str, *arguments: str, to: int | None = None) -> subprocess.Popen:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, start_new_session=True, stdout=to, stderr=to and subprocess.STDOUT)  # noqa: S603  our own command


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


def _stop(running: dict[int, signal.Signals]) -> None:
    for pid, number in list(running.items()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main())
