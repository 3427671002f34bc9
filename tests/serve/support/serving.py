"""What answers while it is checked: one replica in a process of its own, or two of Ray Serve behind its HAProxy."""

import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from registry.settings import Settings
from serve.lifecycle import launch
from tests.serve.support import replica_process
from tests.serve.support.live import replicas, served, whole
from tests.serve.support.promotion_worker import PROCESSES
from tests.serve.support.waiting import answers, free_port, until

_STARTS_WITHIN_S = 400.0


class Serving(Protocol):
    """`kills` are from when until when a replica was away."""

    url: str
    replicas: int
    kills: list[tuple[float, float]]

    def start(self) -> None: ...

    def kill_one(self, choice: random.Random) -> None:
        """SIGKILL for a replica; returns once it is replaced."""

    def stop(self) -> None: ...


@dataclass
class OneProcess:
    """A replica without Ray, which starts in a second."""

    environment: Mapping[str, str]
    folder: Path
    replicas: int = 1
    kills: list[tuple[float, float]] = field(default_factory=list)
    _process: Any = None

    def __post_init__(self) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        arguments = (self._port, self.folder, self.environment)
        self._process = PROCESSES.Process(target=replica_process.main, args=arguments, daemon=True)
        self._process.start()
        until(lambda: answers(f"{self.url}/readyz"), seconds=_STARTS_WITHIN_S)

    def stop(self) -> None:
        self._process.kill()
        self._process.join()

    def kill_one(self, choice: random.Random) -> None:
        begun = time.monotonic()
        self.stop()
        self.start()
        self.kills.append((begun, time.monotonic()))


@dataclass
class OnRay:
    """The application as `make serve` runs it: replicas that share one HAProxy, and are replaced by Ray Serve."""

    settings: Settings
    replicas: int = 2
    kills: list[tuple[float, float]] = field(default_factory=list)
    _running: launch.RunningApplication | None = None

    def __post_init__(self) -> None:
        changed = {"http_port": free_port(), "serve_replicas": self.replicas}
        self.settings = self.settings.model_copy(update=changed)
        self.url = launch.url_of(self.settings)

    def start(self) -> None:
        self._running = launch.start(self.settings)
        until(self._whole, seconds=_STARTS_WITHIN_S)

    def stop(self) -> None:
        if self._running:
            self._running.stop()

    def kill_one(self, choice: random.Random) -> None:
        victim = choice.choice(sorted(replicas(), key=lambda process: process.pid))
        begun = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE)
        until(self._whole, seconds=_STARTS_WITHIN_S)
        self.kills.append((begun, time.monotonic()))

    def _whole(self) -> bool:
        return whole(self.url, count=self.replicas)


def serves_only(serving: Serving, version: int) -> bool:
    """Whether every replica serves this version."""
    return served(serving.url) == [version] * serving.replicas
