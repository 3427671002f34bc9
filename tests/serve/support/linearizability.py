"""Whether operations that overlapped can have happened one after the other, each at a moment within its own time.

The search is that of J. M. Wing and C. Gong, "Testing and verifying concurrent objects", JPDC 17, 1993, with the
memory of G. Lowe, "Testing for linearizability", CCPE 29, 2017, as in porcupine: a set of operations that were put in
order, together with the state they lead to, is looked at once.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call: when it began and ended (infinity where no answer came), what was asked, and what came."""

    begun: float
    ended: float
    call: tuple[Any, ...]
    result: Any


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`order` are the places of the operations in an order that explains them, or the longest found that does.

    `stuck` is an operation that no order explains; None where there is one that explains all.
    """

    order: tuple[int, ...]
    stuck: Operation | None

    @property
    def fine(self) -> bool:
        return self.stuck is None


def check(
    operations: Sequence[Operation], *, initial: State, step: Callable[[State, Operation], State | None]
) -> Verdict:
    """Search for an order; `step` gives the state after an operation with its result, None if that cannot be."""
    events = _events(operations)
    following, preceding = _linked(events)
    done, state = 0, initial
    seen: set[tuple[int, Hashable]] = set()
    stack: list[tuple[int, State]] = []  # place of the call in `events`, and the state before it
    order: list[int] = []
    longest: tuple[int, ...] = ()
    stuck: Operation | None = None
    at = following[0]
    calls = {number: place for place, (_, kind, number) in enumerate(events, start=1) if kind == "call"}
    ends = {number: place for place, (_, kind, number) in enumerate(events, start=1) if kind == "return"}

    def lift(number: int) -> None:
        for place in (calls[number], ends[number]):
            following[preceding[place]], preceding[following[place]] = following[place], preceding[place]

    def unlift(number: int) -> None:
        for place in (ends[number], calls[number]):
            following[preceding[place]] = preceding[following[place]] = place

    last = len(events) + 1
    while following[0] != last:
        _, kind, number = events[at - 1]
        if kind == "call":
            after = step(state, operations[number])
            key = (done | 1 << number, after)
            if after is not None and key not in seen:
                seen.add(key)
                stack.append((number, state))
                order.append(number)
                done, state = key[0], after
                lift(number)
                at = following[0]
            else:
                at = following[at]
            continue
        # Its time is over and it stands nowhere yet: go back.
        if len(order) >= len(longest):
            longest, stuck = tuple(order), operations[number]
        if not stack:
            return Verdict(order=longest, stuck=stuck)
        number, state = stack.pop()
        order.pop()
        done &= ~(1 << number)
        unlift(number)
        at = following[calls[number]]
    return Verdict(order=tuple(order), stuck=None)


def _events(operations: Sequence[Operation]) -> list[tuple[float, str, int]]:
    """Calls and returns in time; of those at one moment, calls first, because then the operations overlap."""
    found = [(one.begun, "call", number) for number, one in enumerate(operations)]
    found += [(one.ended, "return", number) for number, one in enumerate(operations)]
    return sorted(found, key=lambda event: (event[0], event[1] == "return", event[2]))


def _linked(events: Sequence[object]) -> tuple[list[int], list[int]]:
    """A list of places 1 to N between 0 and N + 1, by what follows and what precedes each."""
    count = len(events) + 2
    return [place + 1 for place in range(count)], [place - 1 for place in range(count)]
