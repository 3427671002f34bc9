"""Functions that Ray runs on its workers, each as a span of the job's trace where traces are sent."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import ray

from registry.process.traces import continued, for_worker

P = ParamSpec("P")
T = TypeVar("T")


class Task(Generic[P, T]):
    """A function for workers; `remote` starts it there and gives a reference to its result."""

    def __init__(self, function: Callable[P, T], span: str, options: dict[str, Any]) -> None:
        self.function = function

        def on_worker(carried: dict[str, str], *args: P.args, **named: P.kwargs) -> T:
            with continued(carried, span):
                return function(*args, **named)

        # Ray calls its workers by this name, which people see in the dashboard and in a list of processes.
        on_worker.__name__, on_worker.__qualname__ = function.__name__, function.__qualname__
        on_worker.__module__ = function.__module__
        self._on_worker: Any = (ray.remote(**options) if options else ray.remote)(on_worker)

    def remote(self, *args: Any) -> Any:
        """Start it, with values or references to them; what the trace needs goes along."""
        return self._on_worker.remote(for_worker(), *args)


def task(*, span: str, **options: Any) -> Callable[[Callable[P, T]], Task[P, T]]:
    """Make a function a task whose span has a name; `options` are those of `ray.remote`."""
    return lambda function: Task(function, span, options)
