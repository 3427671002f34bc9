"""The load of one replica, in plain numbers: limits are decided by them, and metrics read them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Level:
    """A number that goes up and down with the load. Used in one event loop, so it needs no lock."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.value = 0
        self._changed = changed

    def add(self, change: int) -> None:
        """Change the number."""
        self.value += change
        self._changed()

    @contextmanager
    def raised(self, by: int) -> Iterator[None]:
        """The number is higher while a block runs."""
        self.add(by)
        try:
            yield
        finally:
            self.add(-by)


class Load:
    """What a replica has under way.

    Attributes
    ----------
    requests_open
        Requests that have arrived and have no answer yet.
    requests_in_work
        Requests that were admitted: they are computed, or wait for a thread.
    pictures_in_work
        Pictures of those requests.
    buffered_bytes
        Bytes that uploads and the requests in progress hold in memory.
    """

    def __init__(self) -> None:
        self._listener: Callable[[], None] = lambda: None
        self.requests_open = Level(self._changed)
        self.requests_in_work = Level(self._changed)
        self.pictures_in_work = Level(self._changed)
        self.buffered_bytes = Level(self._changed)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a function after each change."""
        self._listener = listener

    def _changed(self) -> None:
        self._listener()
