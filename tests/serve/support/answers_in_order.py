"""Whether the versions that a client saw can have come of the history, with no replica that goes back by itself."""

from bisect import bisect_left
from collections.abc import Sequence

from registry.production.history import Change
from registry.production.rollout import takes
from tests.serve.support.history import Event

Places = tuple[int, ...]  # the record that each replica has got to, in ascending order


def unexplained(
    events: Sequence[Event], changes: Sequence[Change], *, not_before: Sequence[float], replicas: int
) -> Event | None:
    """The first answer of one client that no replica can have given, None if each has one that can.

    A replica follows the records in their order, at its own pace. At each it answers with the version in Production,
    or with the one in canary if the request is of its share; and it knows no record before somebody began to make it.
    """
    running = _running(changes)
    reached: set[Places] = {(0,) * replicas}
    for event in sorted((one for one in events if one.version is not None), key=lambda one: one.begun):
        possible = [
            place
            for place, (change, canary) in enumerate(zip(changes, running, strict=True))
            if not_before[place] <= event.ended and _gives(event, change, canary)
        ]
        reached = _least({step for places in reached for step in _steps(places, possible)})
        if not reached:
            return event
    return None


def _running(changes: Sequence[Change]) -> list[Change | None]:
    """The rollout that runs at each record."""
    now, found = None, list[Change | None]()
    for change in changes:
        if change.kind not in ("alias", "repair"):
            now = change if change.rollout else None
        found.append(now)
    return found


def _gives(event: Event, change: Change, canary: Change | None) -> bool:
    if event.version == change.to_version:
        return True
    return bool(canary and canary.rollout and canary.rollout.version == event.version) and takes(
        canary, event.request_id
    )


def _steps(places: Places, possible: list[int]) -> set[Places]:
    """Where the replicas can be after one of them gave the answer; the earliest place of each is the best for it."""
    found = set()
    for number, place in enumerate(places):
        at = bisect_left(possible, place)
        if at < len(possible):
            found.add(tuple(sorted((*places[:number], possible[at], *places[number + 1 :]))))
    return found


def _least(reached: set[Places]) -> set[Places]:
    """Without those that are nowhere earlier than another."""
    return {
        one
        for one in reached
        if not any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in reached)
    }
