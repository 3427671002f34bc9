"""The checker of histories on events whose verdict was worked out by hand."""

import pytest

from tests.serve.support.history import Event, follows, seen_by_each, violation

ANSWERS = {1: [0.25, "not-a-chest-xray"], 2: [0.75, 0.5]}


def answered(version: int, probability: float, picture: int = 0) -> Event:
    body = {"model": {"version": version}, "probability": probability}
    return Event(client=0, picture=picture, begun=10.0, ended=12.0, status=200, body=body)


def refused(status: int, code: str, retry_after: str = "", *, problem: bool = True) -> Event:
    body = {"code": code}
    return Event(
        client=0, picture=0, begun=10, ended=12, status=status, body=body, retry_after=retry_after, problem=problem
    )


def lost(how: str) -> Event:
    return Event(client=0, picture=0, begun=10.0, ended=12.0, lost=how)


@pytest.mark.parametrize(
    "event",
    [
        answered(1, 0.25),
        answered(2, 0.75),
        answered(2, 0.5, picture=1),
        answered(1, 0.25 + 1e-12),
        refused(422, "not-a-chest-xray"),
        refused(408, "slow-upload", "1"),
        refused(503, "busy", "1"),
    ],
)
def test_a_right_answer_and_a_problem_of_the_catalogue_are_fine(event: Event) -> None:
    assert violation(event, ANSWERS) is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (answered(1, 0.75), "answered 0.75, and knows 0.25"),
        (answered(2, 0.25), "answered 0.25, and knows 0.75"),
        (answered(1, 0.25 + 1e-6), "and knows 0.25"),
        (answered(1, 0.4, picture=1), "knows not-a-chest-xray"),
        (answered(3, 0.25), "never in Production"),
        (refused(503, "busy"), "without Retry-After"),
        (refused(503, "busy", "0"), "without Retry-After"),
        (refused(503, "busy", "soon"), "without Retry-After"),
        (refused(503, "", "1", problem=False), "no problem of the catalogue"),
        (refused(422, "busy"), "no problem of the catalogue"),
        (refused(418, "teapot"), "no problem of the catalogue"),
        (refused(500, "internal-error"), "status 500"),
        (refused(500, "", problem=False), "no problem of the catalogue"),
        (lost("ReadError"), "nothing killed"),
        (lost("hung"), "hung"),
    ],
)
def test_everything_else_is_told_with_its_reason(event: Event, reason: str) -> None:
    assert reason in (violation(event, ANSWERS) or "")


def test_only_a_kill_while_the_request_was_under_way_excuses_a_lost_connection_and_never_one_that_hung() -> None:
    event = lost("ReadError")
    assert violation(event, ANSWERS, kills=[(3.0, 3.5), (11.0, 11.1)]) is None
    assert violation(event, ANSWERS, kills=[(9.0, 10.1)]) is None
    assert violation(event, ANSWERS, kills=[(9.8, 9.9)]) is not None
    assert violation(event, ANSWERS, kills=[(12.1, 13.0)]) is not None
    assert violation(refused(500, "", problem=False), ANSWERS, kills=[(11.0, 11.1)]) is not None
    assert violation(lost("hung"), ANSWERS, kills=[(11.0, 11.1)]) is not None
    assert violation(answered(1, 0.75), ANSWERS, kills=[(11.0, 11.1)]) is not None
    assert violation(refused(500, "internal-error"), ANSWERS, kills=[(11.0, 11.1)]) is not None


@pytest.mark.parametrize(
    ("promotions", "seen", "fine"),
    [
        ([1, 2, 1], [1, 1, 2, 2, 1], True),
        ([1, 2, 3], [1, 3, 3], True),
        ([1, 2, 3], [2, 1], False),
        ([1, 2, 1], [1, 2, 1, 2], False),
        ([1, 2], [3], False),
        ([1, 2], [], True),
    ],
)
def test_versions_seen_one_after_the_other_follow_the_promotions(
    promotions: list[int], seen: list[int], fine: bool
) -> None:
    assert follows(promotions, seen) is fine


def test_what_each_client_saw_is_in_its_own_order() -> None:
    def at(client: int, begun: float, version: int) -> Event:
        body = {"model": {"version": version}, "probability": 0.5}
        return Event(client=client, picture=0, begun=begun, ended=begun + 1, status=200, body=body)

    events = [at(1, 3.0, 2), at(0, 2.0, 2), at(0, 1.0, 1), lost("ReadError"), at(1, 0.0, 1)]
    assert seen_by_each(events) == [[1, 2], [1, 2]]
