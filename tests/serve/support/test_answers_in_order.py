"""The check of what clients saw: it finds each kind of answer that cannot be."""

from collections.abc import Sequence

import pytest

from registry.production.history import Change, Rollout
from registry.production.rollout import takes
from tests.serve.support.answers_in_order import unexplained
from tests.serve.support.history import Event


def promoted(number: int, to: int) -> Change:
    return Change(number=number, when="", who="", from_version=None, to_version=to, why="", id=f"id-{number}")


CANARY = Change(
    number=2,
    when="",
    who="",
    from_version=1,
    to_version=1,
    why="",
    kind="canary",
    id="canary",
    rollout=Rollout(version=2, digest="", until="2030-01-01T00:00:00+00:00", share=0.5),
)
ENDED = Change(number=3, when="", who="", from_version=1, to_version=1, why="", kind="ended", ends=2)
TAKEN, LEFT = (next(str(one) for one in range(99) if takes(CANARY, str(one)) is taken) for taken in (True, False))


def seen(*versions: int, request_id: str = "", first: float = 10.0) -> list[Event]:
    return [
        Event(
            client=0,
            picture=0,
            begun=first + at,
            ended=first + at + 0.5,
            status=200,
            body={"model": {"version": version}},
            request_id=request_id,
        )
        for at, version in enumerate(versions)
    ]


def stranger(
    events: Sequence[Event], changes: Sequence[Change], *, replicas: int = 1, not_before: Sequence[float] | None = None
) -> int | None:
    found = unexplained(events, changes, not_before=not_before or [0.0] * len(changes), replicas=replicas)
    return found.version if found else None


@pytest.mark.parametrize(
    ("versions", "replicas", "wrong"),
    [
        ((1, 1, 2, 3), 1, None),
        ((1, 3), 1, None),  # nobody asked while the second was there
        ((1, 2, 1), 1, 1),  # gone back to by itself
        ((1, 2, 1, 2), 2, None),  # the other replica has not got there yet
        ((2, 3, 1, 1, 3), 2, None),
        ((2, 3, 2, 1), 2, 1),  # both have left the first version behind
        ((1, 4), 2, 4),  # never in Production
    ],
)
def test_a_replica_that_goes_back_by_itself_is_found_and_one_that_lags_is_not(versions, replicas, wrong) -> None:
    changes = [promoted(number, number) for number in (1, 2, 3)]
    assert stranger(seen(*versions), changes, replicas=replicas) == wrong


def test_an_answer_of_a_version_before_anybody_began_to_promote_it_is_found() -> None:
    changes = [promoted(1, 1), promoted(2, 2)]
    assert stranger(seen(1, 2, first=10), changes, not_before=[0.0, 11.4]) is None
    assert stranger(seen(1, 2, first=10), changes, not_before=[0.0, 11.6]) == 2


def test_a_candidate_answers_only_its_own_share_and_only_until_its_canary_ends() -> None:
    assert stranger(seen(1, 2, request_id=TAKEN), [promoted(1, 1), CANARY]) is None
    assert stranger(seen(1, 2, request_id=LEFT), [promoted(1, 1), CANARY]) == 2
    back_again = [promoted(1, 1), CANARY, promoted(3, 3), promoted(4, 1)]
    assert stranger(seen(3, 1, request_id=TAKEN), back_again) is None
    assert stranger(seen(3, 2, request_id=TAKEN), back_again) == 2
    assert stranger(seen(2, 1, 1, request_id=TAKEN), [promoted(1, 1), CANARY, ENDED]) is None
