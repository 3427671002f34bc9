"""What the history of Production is made of: records, each with the digest of the one before, kept in two places."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

Kind = Literal["promotion", "rollback", "takeover", "alias", "repair", "shadow", "canary", "ended", "taken back"]
Place = Literal["MLflow", "STATE_URI"]
BEGINNING = "0" * 64
LONGEST = 5000  # characters, of a tag in MLflow's tables


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A candidate beside the version in Production.

    Attributes
    ----------
    version, digest
        The candidate.
    until
        When it ends by itself, in ISO format.
    share
        Of the requests, which the candidate answers; 0 for a shadow, which answers copies that nobody sees.
    """

    version: int
    digest: str
    until: str
    share: float = 0.0

    def __str__(self) -> str:
        how = f"canary, {self.share:.3g} of the requests" if self.share else "shadow"
        return f"{how}, until {self.until}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One record of the history.

    Attributes
    ----------
    from_version, to_version
        What was and what is in Production; None for nothing, as before the first promotion, and after it where serving
        refused that version. They are the same in a record that changes nothing, as most kinds do.
    undoes
        The number of the change that a rollback undoes.
    digest
        Of the files of `to_version`.
    history, id
        Names of the history and of the record; empty in a record of before there was a chain.
    registry, state
        MLFLOW_TRACKING_URI and STATE_URI of whoever wrote it.
    rollout
        What a record of kind `shadow` or `canary` begins.
    ends
        The number of the record of the rollout that this one ends.
    previous
        The digest of the record before; empty in a record of before there was a chain.
    """

    number: int
    when: str
    who: str
    from_version: int | None
    to_version: int | None
    why: str
    metrics: dict[str, float] = field(default_factory=dict)
    undoes: int | None = None
    kind: Kind = "promotion"
    digest: str = ""
    history: str = ""
    id: str = ""
    registry: str = ""
    state: str = ""
    previous: str = ""
    rollout: Rollout | None = None
    ends: int | None = None

    def __str__(self) -> str:
        step = f"{self.from_version or '-'} -> {self.to_version or '-'}"
        if self.rollout:
            step = f"{self.to_version} with {self.rollout.version}"
        more = f" [{self.rollout}]" if self.rollout else ""
        ended = f" [ends the rollout of record {self.ends}]" if self.ends else ""
        return f"{self.number:>4}  {self.when}  {self.kind:<10}  {step:<10}  {self.who}: {self.why}{more}{ended}"


@dataclass(frozen=True)
class WrittenChange:
    """A change as it is written: the text is what the next record has the digest of."""

    text: str

    @classmethod
    def of(cls, change: Change) -> "WrittenChange":
        """Write a change; a reason that is longer than MLflow's tables take is cut."""
        record, why = cls(_text(change)), change.why
        while (excess := len(record.text) - LONGEST) > 0 and why:
            why = why[: -(excess // 6 + 1)]  # a character takes up to six in JSON
            record = cls(_text(replace(change, why=f"{why} ...")))
        return record

    @cached_property
    def change(self) -> Change:
        """What it says; raises ValueError, TypeError or KeyError if it is no record."""
        fields: Any = json.loads(self.text)
        if not isinstance(fields, dict):
            raise TypeError("not a record")
        if fields.get("rollout"):
            fields["rollout"] = Rollout(**fields["rollout"])
        return Change(**fields)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def readable(self) -> bool:
        """Whether it is a record at all."""
        try:
            return isinstance(self.change.number, int) and isinstance(self.change.to_version, int | None)
        except (ValueError, TypeError, KeyError):
            return False


Records = Mapping[int, WrittenChange]
_OF_ROLLOUTS = ("rollout", "ends")


def _text(change: Change) -> str:
    """A change in JSON; what only rollouts have is left out elsewhere, so that older servers read those records."""
    fields = asdict(change)
    return json.dumps({name: value for name, value in fields.items() if value is not None or name not in _OF_ROLLOUTS})


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """A record that is missing or altered in one of the places, or in both (None)."""

    number: int
    place: Place | None
    what: Literal["missing", "altered"]

    def __str__(self) -> str:
        where = self.place or "MLflow and in STATE_URI"
        return f"record {self.number} {'is missing' if self.what == 'missing' else 'was altered'} in {where}"


@dataclass(frozen=True, kw_only=True)
class History:
    """The records of both places put together, oldest first, and what is wrong with either place.

    `sound` is whether the chain is whole, so that the last record says what is in Production. `old` is whether records
    are from before there was a chain: then the alias says it. `lagging` are the numbers that STATE_URI lacks because
    they were written with another one.
    """

    records: tuple[WrittenChange, ...] = ()
    problems: tuple[Discrepancy, ...] = ()
    sound: bool = True
    old: bool = False
    lagging: tuple[int, ...] = ()

    @property
    def changes(self) -> list[Change]:
        """What the records say, oldest first."""
        return [record.change for record in self.records]

    @property
    def head(self) -> Change | None:
        """The last change; None where there is no chain yet."""
        return self.records[-1].change if self.records and not self.old else None

    @property
    def rollout(self) -> Change | None:
        """The record of the shadow or canary that no later one has ended: whatever changes Production does."""
        if self.head is None:
            return None
        later = (record.change for record in reversed(self.records))
        newest = next((change for change in later if change.kind not in ("alias", "repair")), None)
        return newest if newest and newest.rollout else None

    @property
    def older(self) -> bool:
        """Whether MLflow lacks the newest records, as a database does that was restored from a backup."""
        return any(
            problem.place == "MLflow" and problem.what == "missing" and problem.number == len(self.records)
            for problem in self.problems
        )


def name_of(tags: Records) -> str:
    """The name of the history that most records are of; empty where there is none yet."""
    names = Counter(record.change.history for record in tags.values() if record.readable and record.change.history)
    return names.most_common(1)[0][0] if names else ""


def put_together(tags: Records, state: Records, *, state_uri: str) -> History:
    """Compare the records of MLflow and of the state with each other and with the chain, from the newest back.

    Where the two differ, the record is taken whose digest the next one has; of the newest, the state's, which is the
    harder to change.
    """
    if not state and any(record.readable and not record.change.previous for record in tags.values()):
        known = sorted((record for record in tags.values() if record.readable), key=lambda record: record.change.number)
        return History(records=tuple(known), old=True)
    records, problems, lagging = list[WrittenChange](), list[Discrepancy](), list[int]()
    sound, expected = True, None
    for number in range(max([*tags, *state], default=0), 0, -1):
        found = {"STATE_URI": state.get(number), "MLflow": tags.get(number)}
        right = next((record for record in found.values() if _fits(record, number, expected)), None)
        for place, record in found.items():
            if record is None and right and place == "STATE_URI" and right.change.state != state_uri:
                lagging.append(number)
            elif right is None or record != right:
                what: Literal["missing", "altered"] = "missing" if record is None else "altered"
                problems.append(Discrepancy(number=number, place=place, what=what))  # type: ignore[arg-type]
        if right is None:
            sound, expected = False, None
            continue
        records.append(right)
        expected = right.change.previous
    if sound and expected not in (None, BEGINNING):
        problems.append(Discrepancy(number=1, place=None, what="altered"))
        sound = False
    return History(
        records=tuple(reversed(records)),
        problems=tuple(reversed(problems)),
        sound=sound,
        lagging=tuple(reversed(lagging)),
    )


def _fits(record: WrittenChange | None, number: int, expected: str | None) -> bool:
    if record is None or not record.readable or record.change.number != number:
        return False
    return expected is None or record.digest == expected
