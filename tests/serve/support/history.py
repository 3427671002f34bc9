"""Steady, recorded load, and the check of every request in the record against what it may have become."""

import itertools
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

from features.reading.errors import ImageError
from registry.model.bundle import Bundle
from serve.http.problems import KINDS, MEDIA_TYPE
from tests.tolerances import ANSWER

HANGS_AFTER_S = 100.0
Answers = Mapping[int, Sequence[float | str]]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One request about one picture: when it began and ended, and what came; `lost` names what ended the connection."""

    client: int
    picture: int
    begun: float
    ended: float
    status: int = 0
    problem: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)
    retry_after: str = ""
    lost: str = ""
    request_id: str = ""

    @property
    def version(self) -> int | None:
        """The version that the answer names."""
        return self.body["model"]["version"] if self.status == 200 else None


def answers_of(bundle: Bundle, pictures: Sequence[bytes]) -> list[float | str]:
    """What a version has to answer: a probability, or a problem's code, for each picture."""
    found: list[float | str] = []
    for picture in pictures:
        try:
            found.append(bundle.score(picture).probability)
        except ImageError as error:
            found.append(error.code)
    return found


def violation(event: Event, answers: Answers, kills: Sequence[tuple[float, float]] = ()) -> str | None:
    """What is wrong with an event, None where it is one of what a request may become.

    That is: the right answer of the version that it names; a problem of the catalogue with its own status, which is
    503 or 429 only with `Retry-After`; or no answer, where a process was being killed while the request was under way
    (`kills` are from when until when).
    """
    where = f"client {event.client}, picture {event.picture}, {event.ended - event.begun:.2f} s"
    if event.lost:
        if event.lost != "hung" and any(event.begun <= end and begin <= event.ended for begin, end in kills):
            return None
        return f"{where}: {event.lost} with nothing killed meanwhile"
    if event.status == 200:
        version = event.body["model"]["version"]
        if version not in answers:
            return f"{where}: an answer of version {version}, which was never in Production"
        expected = answers[version][event.picture]
        got = event.body["probability"]
        if isinstance(expected, str) or abs(got - expected) > ANSWER:
            return f"{where}: version {version} answered {got}, and knows {expected}"
        return None
    kind = KINDS.get(event.body.get("code", ""))
    if not event.problem or kind is None or kind.status != event.status:
        return f"{where}: status {event.status}, which is no problem of the catalogue: {dict(event.body)}"
    if event.status in (429, 503) and not (event.retry_after.isdigit() and int(event.retry_after) > 0):
        return f"{where}: status {event.status} without Retry-After"
    if event.status >= 500 and event.status != 503:
        return f"{where}: status {event.status}, {event.body['code']}"
    return None


def violations(events: Sequence[Event], answers: Answers, kills: Sequence[tuple[float, float]] = ()) -> list[str]:
    """Everything that is wrong in a history."""
    return [found for event in events if (found := violation(event, answers, kills))]


def follows(promotions: Sequence[int], seen: Sequence[int]) -> bool:
    """Whether versions seen one after the other can come of promotions in this order, none gone back to by itself."""
    place = 0
    for version in seen:
        while place < len(promotions) and promotions[place] != version:
            place += 1
        if place == len(promotions):
            return False
    return True


def seen_by_each(events: Sequence[Event]) -> list[list[int]]:
    """The versions that each client saw, in its own order."""
    clients = sorted({event.client for event in events})
    ordered = sorted((event for event in events if event.version is not None), key=lambda event: event.begun)
    return [[event.body["model"]["version"] for event in ordered if event.client == client] for client in clients]


class Traffic(AbstractContextManager["Traffic"]):
    """Clients that ask about pictures in a seeded order, each again after a pause, for as long as the block runs."""

    def __init__(
        self, url: str, pictures: Sequence[bytes], *, clients: int = 4, seed: int = 0, pause_s: float = 0.0
    ) -> None:
        self.events: list[Event] = []
        self._url = url
        self._pictures = pictures
        self._pause_s = pause_s
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(client, random.Random(seed + client))) for client in range(clients)
        ]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(HANGS_AFTER_S + 10)

    def answered(self) -> int:
        """How many requests have had an answer of a model so far."""
        return sum(event.status == 200 for event in list(self.events))

    def _run(self, client: int, order: random.Random) -> None:
        connection = httpx.Client(base_url=self._url, timeout=HANGS_AFTER_S)
        for number in itertools.count():
            if self._done.is_set():
                break
            request_id = f"{client}-{number}"
            headers = {"Content-Type": "image/jpeg", "X-Request-ID": request_id}
            picture, begun = order.randrange(len(self._pictures)), time.monotonic()
            try:
                answer = connection.post("/predict", content=self._pictures[picture], headers=headers)
            except httpx.HTTPError as error:
                lost = "hung" if isinstance(error, httpx.TimeoutException) else type(error).__name__
                ended = time.monotonic()
                self.events.append(
                    Event(client=client, picture=picture, begun=begun, ended=ended, lost=lost, request_id=request_id)
                )
                connection.close()
                connection = httpx.Client(base_url=self._url, timeout=HANGS_AFTER_S)
                self._done.wait(0.1)  # nobody may be there for a while
                continue
            media_type = answer.headers.get("content-type", "")
            self.events.append(
                Event(
                    client=client,
                    picture=picture,
                    begun=begun,
                    ended=time.monotonic(),
                    status=answer.status_code,
                    problem=media_type == MEDIA_TYPE,
                    body=answer.json() if "json" in media_type else {"text": answer.text[:200]},
                    retry_after=answer.headers.get("retry-after", ""),
                    request_id=request_id,
                )
            )
            # After a refusal as `Retry-After` asks, though sooner.
            self._done.wait(self._pause_s if answer.status_code == 200 else 0.2)
        connection.close()
