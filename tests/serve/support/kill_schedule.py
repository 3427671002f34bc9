"""Who is killed when: drawn from a seed, so that a run can be repeated."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kill:
    """After so many operations and a pause, a part of the system is killed."""

    after: int
    part: str
    pause_s: float

    def __str__(self) -> str:
        return f"{self.part} after {self.after}+{self.pause_s:.2f}s"


def kill_schedule(parts: Sequence[str], *, kills: int, operations: int, seed: int) -> list[Kill]:
    """So many kills, spread over the operations; each part is killed as often as the others, give or take one."""
    choice, turn, found = random.Random(seed), list[str](), list[Kill]()
    for number in range(1, kills + 1):
        turn = turn or choice.sample(list(parts), len(parts))
        after = number * operations // (kills + 1)
        found.append(Kill(after=after, part=turn.pop(), pause_s=choice.random()))
    return found
