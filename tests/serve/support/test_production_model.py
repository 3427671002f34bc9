"""The model of Production: orders that can be, and orders that cannot."""

import math
from typing import Any

import pytest

from registry.production.history import Change
from tests.serve.support.linearizability import Operation, check
from tests.serve.support.production_model import not_before, production_step, settled, standing
from tests.serve.support.promotion_worker import Done


def of(call: list[Any], result: list[Any], begun: float = 0, ended: float = 1) -> Operation:
    return Operation(begun=begun, ended=ended, call=tuple(call), result=result)


@pytest.mark.parametrize(
    ("operations", "fine"),
    [
        (
            [
                of(["promote", 2], ["moved", 1, 2]),
                of(["rollback"], ["moved", 2, 1], 2, 3),
                of(["read"], ["is", 1], 4, 5),
            ],
            1,
        ),
        ([of(["promote", 2], ["moved", 1, 2]), of(["read"], ["is", 1], 2, 3)], 0),  # an acknowledged change was lost
        ([of(["if", 1, 2], ["moved", 1, 2]), of(["if", 1, 3], ["moved", 1, 3])], 0),  # both replaced the first
        ([of(["if", 1, 2], ["moved", 1, 2]), of(["if", 1, 3], ["stale"])], 1),
        ([of(["rollback"], ["refused", "it replaced none"])], 1),
        ([of(["promote", 2], ["moved", 1, 2]), of(["rollback"], ["refused", ""], 2, 3)], 0),
        ([of(["begin", 2], ["begun", 2]), of(["begin", 3], ["refused", ""])], 1),
        ([of(["begin", 2], ["begun", 2]), of(["begin", 3], ["begun", 3], 2, 3)], 0),  # two canaries at once
        (
            [
                of(["begin", 2], ["begun", 2]),
                of(["promote", 3], ["moved", 1, 3], 2, 3),
                of(["begin", 2], ["begun", 2], 4, 5),
            ],
            1,
        ),
        ([of(["tamper"], ["done"]), of(["read"], ["is", 1], 2, 3)], 1),
    ],
)
def test_the_model_of_production_takes_what_may_be_and_nothing_else(operations: list[Operation], fine: int) -> None:
    assert check(operations, initial=((1,), None), step=production_step).fine == bool(fine)


def record(number: int, to: int, *, kind: str = "promotion", why: str = "", before: int | None = 1) -> Change:
    return Change(
        number=number, when="", who="", from_version=before, to_version=to, why=why, kind=kind, id=f"id-{number}"
    )


def test_a_record_of_an_operation_that_got_no_answer_is_one_more_operation_and_one_that_was_told_is_not() -> None:
    killed = Done(token="token-1", operation=of(["promote", 2], ["unknown", "killed"], 3, math.inf))
    told = Done(token="token-2", operation=of(["promote", 3], ["moved", 2, 3], 4, 5), record="id-2")
    nothing = Done(token="token-3", operation=of(["rollback"], ["unknown", "away"], 6, 7))
    changes = [record(1, 2, why="approved: token-1. And more"), record(2, 3, why="token-2", before=2)]
    found = settled([killed, told, nothing], changes)
    assert found == [told.operation, of(["promote", 2], ["moved", 1, 2], 3, math.inf)]


def test_a_canary_that_its_rule_took_back_was_ended_at_some_time_and_an_alias_put_back_is_no_operation() -> None:
    found = settled([], [record(1, 1, kind="alias"), record(2, 1, kind="taken back", why="errors")])
    assert found == [of(["end"], ["ended"], 0, math.inf)]


def test_records_lead_to_what_no_rollback_has_undone() -> None:
    assert standing([record(1, 1), record(2, 2), record(3, 1, kind="rollback"), record(4, 3)]) == ((1, 3), None)


def test_nobody_can_see_a_record_before_its_operation_began_or_before_the_record_before_it() -> None:
    done = [Done(token=f"token-{at}", operation=of(["promote", at], ["unknown", ""], at)) for at in (2, 5)]
    changes = [record(1, 1), record(2, 5, why="token-5"), record(3, 5, kind="alias"), record(4, 2, why="token-2")]
    assert not_before(done, changes) == [-math.inf, 5, 5, 5]
