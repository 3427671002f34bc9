"""Log lines: JSON for machines or text for a terminal, from every replica to the one stream of whoever started serving.

Ray would put a prefix before each line that a replica writes, which no longer is JSON. So a replica sends its lines to
a socket in the start's own folder, and the starting process writes them out. Nobody waits: lines go out many at a time
from a thread of their own, and what finds the socket full or gone is lost.
"""

import contextlib
import json
import logging
import socket
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Format = Literal["json", "text"]
ACCESS = "serve.http.access"
_LONGEST_LINE = 60_000  # a datagram's bound on Linux is the socket's buffer, 208 KiB unless somebody changed it
_MOST_WAITING = 10_000
_SEND_S = 0.1
_STOP = b""
_ENCODER = json.JSONEncoder(default=str)  # `json.dumps` would make one for each line


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, the fields of `extra`, and an error's trace."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class TextLines(logging.Formatter):
    """A line for people; the fields follow the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())
        return f"{text} {fields}".rstrip() if fields else text


def chosen(setting: str) -> Format:
    """The format that LOG_FORMAT asks for: `auto` is text on a terminal, JSON elsewhere."""
    if setting in ("json", "text"):
        return setting  # type: ignore[return-value]
    return "text" if sys.stderr.isatty() else "json"


def formatter(form: Format) -> logging.Formatter:
    """What writes lines of a format."""
    return JsonLines() if form == "json" else TextLines()


def set_up(form: Format, collector: Path | None = None) -> None:
    """Send this process's log to a collector's socket, or to its own standard error.

    Of successful looks at the page, probes and scrapes only JSON has a line; on a terminal they would bury the rest.
    """
    handler: logging.Handler = ToCollector(collector) if collector else logging.StreamHandler()
    handler.setFormatter(formatter(form))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("serve").setLevel(logging.INFO)
    logging.getLogger(ACCESS).setLevel(logging.DEBUG if form == "json" else logging.INFO)


def say(text: str) -> None:
    """Tell whoever started this process: on standard output, or as a line of the log where that is JSON."""
    handlers = logging.getLogger().handlers
    if handlers and isinstance(handlers[0].formatter, JsonLines):
        logging.getLogger("serve").info("%s", " ".join(text.split()))
    else:
        print(text, flush=True)


class ToCollector(logging.Handler):
    """Sends lines as datagrams to a collector's socket: warnings at once, others within a moment, many in each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._sending = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="log-sender", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(self.format(record).encode("utf-8", "replace")[:_LONGEST_LINE])
        if record.levelno >= logging.WARNING:
            self.flush()

    def flush(self) -> None:
        """Send what waits; only senders wait for one another, never who has a line to add."""
        with self._sending, contextlib.suppress(OSError):
            while self._waiting:
                self._socket.sendto(self._datagram(), self._path)

    def close(self) -> None:
        self._closed.set()
        self.flush()
        self._socket.close()
        super().close()

    def _datagram(self) -> bytes:
        lines = [self._waiting.popleft()]
        size = len(lines[0])
        while self._waiting and size + 1 + len(self._waiting[0]) <= _LONGEST_LINE:
            lines.append(self._waiting.popleft())
            size += 1 + len(lines[-1])
        return b"\n".join(lines)

    def _run(self) -> None:
        while not self._closed.wait(_SEND_S):
            self.flush()


class Collector:
    """Writes the lines that replicas send to standard error, from start to stop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = sys.stderr
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._run, name="log-collector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what has arrived, then end."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last, contextlib.suppress(OSError):
            last.sendto(_STOP, str(self.path))
            self._thread.join(timeout=5)
        self._socket.close()

    def _run(self) -> None:
        while line := self._socket.recv(2 * _LONGEST_LINE):
            self._stream.write(line.decode("utf-8", "replace") + "\n")
            self._stream.flush()
