"""A bundle that answers only when it is let, and requests that wait there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from serve.production.model import Served


class Gate:
    """Every request that reaches the model releases `entered` and waits until `open` is set."""

    def __init__(self, model: Served) -> None:
        self._bundle = model.bundle
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def score(self, image: bytes) -> Any:
        self.entered.release()
        self.open.wait(30)
        return self._bundle.score(image)

    def __getattr__(self, name: str) -> object:
        return getattr(self._bundle, name)


@contextmanager
def in_work(gate: Gate, post: Callable[[], Any], *, requests: int) -> Iterator[list[Any]]:
    """Requests that have reached the model and wait there until the block ends or opens the gate; what each came to."""
    came_to: list[Any] = []
    working = [threading.Thread(target=lambda: came_to.append(post())) for _ in range(requests)]
    for thread in working:
        thread.start()
    for _ in working:
        assert gate.entered.acquire(timeout=30)
    try:
        yield came_to
    finally:
        gate.open.set()
        for thread in working:
            thread.join(30)
