"""A bundle that answers only when it is let."""

import threading
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
