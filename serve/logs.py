"""Log lines: JSON for machines or text for a terminal, from every replica to one stream of the starting process.

Ray would put a prefix before each line that a replica writes, which is then no JSON. So a replica sends its lines over
a socket in the start's own folder, and the starting process writes them out (`serve.lifecycle.log_collector`). Requests
never wait for the log: lines are sent from a thread of their own.
"""

import contextlib
import logging
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path

from registry.process.log_lines import Format, formatter, take_the_log

ACCESS = "serve.http.access"
_MOST_WAITING = 10_000
_AT_ONCE = 64
END_OF_RECORD = b"\0\n"  # a record has lines of its own where it carries a trace
_SEND_S = 0.1
_SEND_TIMEOUT_S = 5.0
_FLUSH_S = 5.0


def chosen(setting: str) -> Format:
    """The format that LOG_FORMAT asks for: `auto` is text on a terminal, JSON elsewhere."""
    if setting in ("json", "text"):
        return setting  # type: ignore[return-value]
    return "text" if sys.stderr.isatty() else "json"


def set_up(form: Format, collector: Path | None = None) -> None:
    """Send this process's log, that of libraries included, to a collector's socket or to its own standard error.

    Successful looks at the page, probes and scrapes have a line in JSON only; on a terminal they would bury the rest.
    """
    handler: logging.Handler = LogSender(collector) if collector else logging.StreamHandler()
    handler.setFormatter(formatter(form))
    take_the_log(handler)
    logging.getLogger("serve").setLevel(logging.INFO)
    # Whoever asks MLflow says that it is away, once; each try of each request would be a line a second besides.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger(ACCESS).setLevel(logging.DEBUG if form == "json" else logging.INFO)


class LogSender(logging.Handler):
    """Sends lines to a collector's socket: warnings at once, others within a moment, several at a time.

    While no collector listens, lines wait, at most `most_waiting`; the oldest then go first, and the next line that
    gets through is preceded by one that says how many were lost.
    """

    def __init__(self, path: Path, *, most_waiting: int = _MOST_WAITING) -> None:
        super().__init__()
        self._path = str(path)
        self._connection: socket.socket | None = None
        self._most_waiting = most_waiting
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._sending = threading.Lock()
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-sender", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(self.format(record).encode("utf-8", "replace") + END_OF_RECORD)
        if len(self._waiting) > self._most_waiting:
            with contextlib.suppress(IndexError):
                self._waiting.popleft()
                self._lost += 1
        if record.levelno >= logging.WARNING:
            self._wanted.set()

    def flush(self) -> None:
        """Wait until what waits or is being sent has been sent, for a few seconds at most."""
        end = time.monotonic() + _FLUSH_S
        while self._has_more() and time.monotonic() < end and self._send():
            pass

    def _has_more(self) -> bool:
        with self._sending:  # what another thread is sending waits again where that fails
            return bool(self._waiting)

    def close(self) -> None:
        self._ended.set()
        self._wanted.set()
        self.flush()
        with self._sending:
            self._disconnect()
        super().close()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wanted.wait(_SEND_S)
            self._wanted.clear()
            while self._waiting and self._send():
                pass

    def _send(self) -> bool:
        """Send what waits; False if no collector took it, and it waits again."""
        with self._sending:
            lines = self._take()
            try:
                self._connected().sendall(b"".join(lines))
            except OSError:
                self._disconnect()
                self._waiting.extendleft(reversed(lines))
                return False
            return True

    def _take(self) -> list[bytes]:
        lines = []
        if self._lost:
            lost, self._lost = self._lost, 0
            message = f"{lost} lines of this log were lost: nothing took them."
            record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (), None)
            lines.append(self.format(record).encode() + END_OF_RECORD)
        with contextlib.suppress(IndexError):
            for _ in range(_AT_ONCE):
                lines.append(self._waiting.popleft())
        return lines

    def _connected(self) -> socket.socket:
        if self._connection is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(_SEND_TIMEOUT_S)
            try:
                connection.connect(self._path)
            except OSError:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
