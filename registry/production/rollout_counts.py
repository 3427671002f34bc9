"""How a candidate and Production compare on live requests, in counts that add up over replicas and restarts.

Each process that serves writes its own counts, again and again as they grow, to `rollouts/ID/WRITER.json` in STATE_URI.
The sum of all files is what is known, whoever asks: a replica, a job, or either of them after a restart.
"""

import json
import logging
import math
from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from typing import Any

from registry.state import State

log = logging.getLogger(__name__)

FOLDER = "rollouts"
# Seconds, each 2**0.5 times the one before: 1 ms to 12 minutes, closely enough to tell a model that is twice as slow.
EDGES = tuple(0.001 * 2 ** (step / 2) for step in range(40))
_NO_TIMES = (0,) * (len(EDGES) + 1)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What became of the pictures that one version was given.

    Attributes
    ----------
    normal, pneumonia
        Answers, by label.
    refused
        Pictures that the version takes for none that it can answer; what no version can decode is not counted.
    errors
        Pictures that broke the model, or got no finite probability.
    times
        How many were computed within each of `EDGES` seconds and more than the one before; the last are slower.
    """

    normal: int = 0
    pneumonia: int = 0
    refused: int = 0
    errors: int = 0
    times: tuple[int, ...] = _NO_TIMES

    def __add__(self, other: "Arm") -> "Arm":
        return Arm(
            normal=self.normal + other.normal,
            pneumonia=self.pneumonia + other.pneumonia,
            refused=self.refused + other.refused,
            errors=self.errors + other.errors,
            times=tuple(map(add, self.times, other.times)),
        )

    @property
    def answers(self) -> int:
        """Pictures with an answer."""
        return self.normal + self.pneumonia

    @property
    def pictures(self) -> int:
        """All of them."""
        return self.answers + self.refused + self.errors

    @property
    def median_s(self) -> float | None:
        """The edge, in seconds, that half of the pictures were computed within; None without pictures, inf beyond."""
        total = sum(self.times)
        seen = 0
        for edge, count in zip((*EDGES, math.inf), self.times, strict=True):
            seen += count
            if total and 2 * seen >= total:
                return edge
        return None


def one_picture(*, label: str = "", refused: bool = False, error: bool = False, seconds: float = 0.0) -> Arm:
    """The counts of one picture that took some seconds to compute."""
    place = bisect_left(EDGES, seconds)
    return Arm(
        normal=int(label == "NORMAL"),
        pneumonia=int(label == "PNEUMONIA"),
        refused=int(refused),
        errors=int(error),
        times=tuple(int(step == place) for step in range(len(_NO_TIMES))),
    )


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pictures that both versions answered: how many, with the same label, and how the probabilities differ.

    `difference` and `distance` are sums: of the candidate's probability minus that of Production, and of its size.
    """

    compared: int = 0
    same: int = 0
    difference: float = 0.0
    distance: float = 0.0

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(
            compared=self.compared + other.compared,
            same=self.same + other.same,
            difference=self.difference + other.difference,
            distance=self.distance + other.distance,
        )


@dataclass(frozen=True, kw_only=True)
class RolloutCounts:
    """Everything counted of one rollout.

    `dropped` are copies of pictures that the candidate was not asked about, because they would have had to wait.
    `stopped` is why a replica asks nothing more of the candidate, empty while it does.
    """

    production: Arm = field(default_factory=Arm)
    candidate: Arm = field(default_factory=Arm)
    pairs: Pairs = field(default_factory=Pairs)
    dropped: int = 0
    stopped: str = ""

    def __add__(self, other: "RolloutCounts") -> "RolloutCounts":
        return RolloutCounts(
            production=self.production + other.production,
            candidate=self.candidate + other.candidate,
            pairs=self.pairs + other.pairs,
            dropped=self.dropped + other.dropped,
            stopped=self.stopped or other.stopped,
        )

    def __str__(self) -> str:
        return "; ".join(self.lines())

    def lines(self) -> list[str]:
        """The comparison for people."""
        found = [_arm_line("production", self.production), _arm_line("candidate", self.candidate)]
        if self.pairs.compared:
            count = self.pairs.compared
            found.append(
                f"both: {count} pictures, {self.pairs.same / count:.1%} with the same label, probability "
                f"{self.pairs.difference / count:+.3f} on average, {self.pairs.distance / count:.3f} apart"
            )
        if self.dropped:
            found.append(f"not compared, because the server was busy: {self.dropped}")
        return found

    def numbers(self) -> dict[str, float]:
        """The comparison as metrics of a run, and of the record that ends a rollout."""
        found: dict[str, float] = {"rollout_dropped": self.dropped}
        for name, arm in (("production", self.production), ("candidate", self.candidate)):
            found[f"rollout_{name}_pictures"] = arm.pictures
            if arm.pictures:
                found[f"rollout_{name}_pneumonia"] = arm.pneumonia / max(arm.answers, 1)
                found[f"rollout_{name}_refused"] = arm.refused / arm.pictures
                found[f"rollout_{name}_errors"] = arm.errors / arm.pictures
                found[f"rollout_{name}_median_s"] = min(arm.median_s or 0.0, 1e6)
        if count := self.pairs.compared:
            found["rollout_same_label"] = self.pairs.same / count
            found["rollout_difference"] = self.pairs.difference / count
            found["rollout_distance"] = self.pairs.distance / count
        return found


def _arm_line(name: str, arm: Arm) -> str:
    if not arm.pictures:
        return f"{name}: no picture yet"
    return (
        f"{name}: {arm.pictures} pictures, {arm.pneumonia / max(arm.answers, 1):.1%} of answers PNEUMONIA, "
        f"{arm.refused} refused, {arm.errors} errors, median {1000 * (arm.median_s or 0):.0f} ms"
    )


def read_counts(state: State, rollout: str, *, but: str = "") -> RolloutCounts:
    """The sum of what all writers, `but` one, counted of a rollout; raises OSError where the state is away."""
    folder = state.path(FOLDER, rollout)
    names = [name for name in state.names(folder) if name.endswith(".json") and name != f"{but}.json"]
    return reduce(add, (_parsed(state.read(f"{folder}/{name}"), name) for name in names), RolloutCounts())


def write_counts(state: State, rollout: str, writer: str, counts: RolloutCounts) -> None:
    """Write what one writer has counted so far; raises OSError where the state is away."""
    state.write(state.path(FOLDER, rollout, f"{writer}.json"), json.dumps(asdict(counts)).encode())


def _parsed(text: bytes, name: str) -> RolloutCounts:
    try:
        fields: dict[str, Any] = json.loads(text)
        return RolloutCounts(
            production=_arm(fields["production"]),
            candidate=_arm(fields["candidate"]),
            pairs=Pairs(**fields["pairs"]),
            dropped=int(fields["dropped"]),
            stopped=str(fields["stopped"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        log.warning("The counts of a rollout in %s cannot be read (%r); they are left out.", name, error)
        return RolloutCounts()


def _arm(fields: dict[str, Any]) -> Arm:
    return Arm(**{**fields, "times": tuple(fields["times"])})
