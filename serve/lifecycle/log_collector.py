"""The receiving end of the replicas' log: it writes every line that they send to standard error."""

import contextlib
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from serve.logs import END_OF_RECORD

_PATIENCE_S = 5.0  # for lines that are on their way when the application stops


class LogCollector:
    """A Unix stream socket; each connection carries lines of text. From start to stop."""

    def __init__(self, path: Path) -> None:
        self._server = _Server(str(path), sys.stderr)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.name = "log-collector"
        self._thread.start()

    def stop(self) -> None:
        """Write what was sent, then end; a second time it does nothing. A connected sender is heard for a moment."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.finish(_PATIENCE_S)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: str, stream: TextIO) -> None:
        super().__init__(path, _Lines)
        self.stream = stream
        self.writing = threading.Lock()
        self.connections: dict[socket.socket, threading.Thread] = {}

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self.connections[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.pop(request, None)

    def finish(self, seconds: float) -> None:
        """Take connections that still wait, let senders end, and end those that do not."""
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                self.process_request(*self.get_request())
        self.socket.close()
        end = time.monotonic() + seconds
        for request, thread in list(self.connections.items()):
            thread.join(max(0.0, end - time.monotonic()))
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RD)
            thread.join(1.0)


class _Lines(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        record = b""
        for line in self.rfile:
            record += line
            if record.endswith(END_OF_RECORD):
                text = record.removesuffix(END_OF_RECORD).decode("utf-8", "replace")
                with self.server.writing:
                    self.server.stream.write(text + "\n")
                    self.server.stream.flush()
                record = b""
        # What is left is a record that its sender broke off: it sends the whole of it again if it still lives.
