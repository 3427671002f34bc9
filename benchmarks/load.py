"""A load generator over raw sockets in one thread: requests that are bytes already, and answers counted and timed.

A client library costs more for a request than the servers that are compared; this one takes about 20 µs of one core.
"""

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

_RECEIVE = 1 << 16
_END = b"\r\n\r\n"


@dataclass(kw_only=True)
class Load:
    """What came of a load: the seconds that each answer took, by its status, in order of their ends."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    elapsed: float = 0.0

    @property
    def statuses(self) -> dict[int, int]:
        """How many answers had each status."""
        return {status: len(seconds) for status, seconds in self.seconds.items()}

    @property
    def rate(self) -> float:
        """Answers a second with status 200."""
        return self.statuses.get(200, 0) / self.elapsed

    def quantile(self, share: float, status: int = 200) -> float:
        """Seconds within which this share of the answers with a status was there."""
        ordered = sorted(self.seconds[status])
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(kw_only=True)
class _Connection:
    socket: socket.socket
    begun: float = 0.0
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    received: bytearray = field(default_factory=bytearray)
    last: bool = False  # the server has said that it closes after this answer


def post(url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A request as it goes over the wire."""
    place = urlsplit(url)
    lines = {"Host": place.netloc, **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
    return f"POST {place.path} HTTP/1.1\r\n{head}\r\n".encode() + body


def closed(url: str, requests: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """As many requests as a server answers: each connection sends its next one when it has its answer."""
    return _drive(url, requests, connections, seconds, None)


def paced(url: str, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int = 64) -> Load:
    """So many requests a second, whatever the server does; each is timed from the moment at which it was due."""
    return _drive(url, requests, connections, seconds, 1 / rate)


def _drive(url: str, requests: Sequence[bytes], connections: int, seconds: float, pace: float | None) -> Load:
    place, load = urlsplit(url), Load()
    selector = selectors.DefaultSelector()
    idle = deque(_opened(selector, place) for _ in range(connections))
    begun = time.perf_counter()
    due = deque(begun + index * pace for index in range(int(seconds / pace))) if pace else deque()
    sent, open_ = 0, 0
    while True:
        now = time.perf_counter()
        while idle and (due[0] <= now if pace and due else pace is None and now - begun < seconds):
            connection = idle.popleft()  # in turn, so that the server finds none idle for long and closes it
            connection.begun = due.popleft() if pace else now
            _send(selector, connection, requests[sent % len(requests)])
            sent, open_ = sent + 1, open_ + 1
        if not open_ and (not due if pace else now - begun >= seconds):
            break
        wait = max(0.0, due[0] - now) if pace and due and idle else 0.5
        for key, events in selector.select(wait):
            connection = key.data
            if events & selectors.EVENT_WRITE:
                _send(selector, connection, connection.unsent)
            if events & selectors.EVENT_READ and (status := _receive(connection)):
                load.seconds.setdefault(status, []).append(time.perf_counter() - connection.begun)
                open_ -= 1
                if connection.last:
                    selector.unregister(connection.socket)
                    connection.socket.close()
                    connection = _opened(selector, place)
                idle.append(connection)
    load.elapsed = time.perf_counter() - begun
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    selector.close()
    return load


def _opened(selector: selectors.BaseSelector, place: SplitResult) -> _Connection:
    one = socket.create_connection((place.hostname, place.port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setblocking(False)
    connection = _Connection(socket=one)
    selector.register(one, selectors.EVENT_READ, connection)
    return connection


def _send(selector: selectors.BaseSelector, connection: _Connection, data: bytes | memoryview) -> None:
    view = memoryview(data)
    with contextlib.suppress(BlockingIOError):
        view = view[connection.socket.send(view) :]
    connection.unsent = view
    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if view else 0)
    selector.modify(connection.socket, wanted, connection)


def _receive(connection: _Connection) -> int:
    """The status of an answer that is complete, 0 while it is not; raises ConnectionError where the server hangs up."""
    piece = connection.socket.recv(_RECEIVE)
    if not piece:
        raise ConnectionError(f"The server hung up after {bytes(connection.received[:200])!r}.")
    connection.received += piece
    end = connection.received.find(_END)
    if end < 0:
        return 0
    head = bytes(connection.received[:end]).lower()
    _, found, length = head.partition(b"content-length:")
    if found:
        complete = len(connection.received) >= end + len(_END) + int(length.split(b"\r\n", 1)[0])
    else:
        complete = connection.received.endswith(b"0\r\n\r\n")
    if not complete:
        return 0
    connection.received.clear()
    connection.last = b"\r\nconnection: close" in head
    return int(head[9:12])
