"""Pictures of one request that other replicas answer, as long as they have nothing else to do.

Two threads of one process describe hardly more pictures than one, because both need Python's interpreter lock (ADR 24).
Two replicas are two processes, so a request with many pictures is quick only if both work on it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.process.traces import span
from serve.http.uploads import Picture
from serve.inference.predictor import PictureResult, Predictor
from serve.load import Load
from serve.production.model import Served

FEWEST = 4  # pictures of a request that is worth it: to ask another replica takes as long as a small picture


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some pictures of a request, and the model that answers it, by its version and digest."""

    pictures: list[Picture]
    request_id: str
    model: tuple[int, str]


class Others(Protocol):
    """The other replicas; `count` is how many there are."""

    count: int

    async def answer(self, part: Part) -> list[PictureResult] | None:
        """One answer or problem a picture, in order; None where no replica takes the part."""


class SharedPredictor:
    """Answers the pictures of a request in the threads of this replica and, where there are many, in others too."""

    def __init__(self, predictor: Predictor, load: Load, others: Others | None = None) -> None:
        self._predictor = predictor
        self._load = load
        self._others = others
        # The cores of a machine are for all of its replicas.
        self._lanes = max(1, predictor.threads // (1 + (others.count if others else 0)))

    async def answer(self, served: Served, pictures: Sequence[Picture], request_id: str) -> list[PictureResult]:
        """One answer or problem a picture, in order, all by the given model."""
        if self._others is None or len(pictures) < FEWEST:
            return await self._predictor.answer(served, pictures, request_id)
        others, answered, waiting = self._others, dict[int, PictureResult](), deque(range(len(pictures)))
        replicas = 1 + others.count

        async def here() -> None:
            while waiting:
                number = waiting.popleft()
                (answered[number],) = await self._predictor.answer(served, [pictures[number]], request_id)

        async def elsewhere() -> None:
            while len(waiting) > 1:
                # Large parts first and small ones last, so that all are ready at the same time (guided
                # self-scheduling, Polychronopoulos and Kuck 1987).
                numbers = [waiting.pop() for _ in range(-(-len(waiting) // (2 * replicas)))]
                part = [pictures[number] for number in numbers]
                with span("ask another replica"):
                    given = await others.answer(Part(pictures=part, request_id=request_id, model=_name(served)))
                if given is None:
                    waiting.extend(numbers)
                    return
                answered.update(zip(numbers, given, strict=True))

        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(elsewhere()) for _ in range(others.count)]
            lanes += [group.create_task(here()) for _ in range(self._lanes)]
        await here()  # what came back after the threads here had done all that was left
        return [answered[number] for number in range(len(pictures))]

    async def take(self, part: Part) -> list[PictureResult] | None:
        """Answer a part of another replica's request; None where there is other work, or another model."""
        served = next((served for served in self._models() if _name(served) == part.model), None)
        if served is None or self._load.pictures_in_work.value or self._load.requests_in_work.value:
            return None
        with self._load.pictures_in_work.raised(len(part.pictures)):
            return await self._predictor.answer(served, part.pictures, part.request_id)

    def _models(self) -> list[Served]:
        holder = self._predictor.holder
        candidate = holder.candidate.served if holder.candidate else None
        return [served for served in (holder.served, candidate) if served]


def _name(served: Served) -> tuple[int, str]:
    return served.version.version, served.version.digest
