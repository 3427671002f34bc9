"""The search for an order, on histories whose verdict was worked out by hand."""

import itertools
import math
import random

import pytest

from tests.serve.support.linearizability import Operation, check


def op(begun: float, ended: float, *call: object, result: object = None) -> Operation:
    return Operation(begun=begun, ended=ended, call=call, result=result)


def register(state: int, operation: Operation) -> int | None:
    """A place that holds one number."""
    if operation.call[0] == "write":
        return int(operation.call[1])
    if operation.call[0] == "swap":  # compare and set
        expected, new = operation.call[1:]
        return (new if state == expected else None) if operation.result else (None if state == expected else state)
    return state if operation.result == state else None


GOOD = [
    [],
    [op(0, 1, "write", 1), op(2, 3, "read", result=1)],
    [op(0, 10, "write", 1), op(2, 3, "read", result=0), op(4, 5, "read", result=1)],
    [op(0, 10, "write", 1), op(0, 10, "write", 2), op(11, 12, "read", result=1)],
    [op(0, 5, "swap", 0, 1, result=True), op(0, 5, "swap", 0, 2, result=False), op(6, 7, "read", result=1)],
    [op(0, math.inf, "write", 1), op(5, 6, "read", result=0), op(7, 8, "read", result=1)],
    [op(0, 1, "write", 1), op(1, 2, "read", result=0)],  # they meet at 1, so that they overlap
]
BAD = [
    [op(0, 1, "write", 1), op(2, 3, "read", result=0)],
    [op(0, 10, "write", 1), op(2, 3, "read", result=1), op(4, 5, "read", result=0)],
    [op(0, 5, "swap", 0, 1, result=True), op(0, 5, "swap", 0, 2, result=True)],
    [op(0, 1, "swap", 0, 1, result=False)],
    [op(0, 10, "write", 1), op(0, 10, "write", 2), op(11, 12, "read", result=1), op(13, 14, "read", result=2)],
    [op(0, 1, "read", result=7)],
]


@pytest.mark.parametrize("history", GOOD)
def test_a_history_that_has_an_order_is_fine_and_the_order_explains_it(history: list[Operation]) -> None:
    verdict = check(history, initial=0, step=register)
    assert verdict.fine
    assert sorted(verdict.order) == list(range(len(history)))
    state: int | None = 0
    for number in verdict.order:
        assert state is not None
        state = register(state, history[number])
    assert state is not None


@pytest.mark.parametrize("history", BAD)
def test_a_history_without_an_order_is_told_with_an_operation_that_does_not_fit(history: list[Operation]) -> None:
    verdict = check(history, initial=0, step=register)
    assert not verdict.fine
    assert verdict.stuck in history


def test_it_says_the_same_as_trying_every_order() -> None:
    choice, fine = random.Random(20_264), 0
    for _ in range(500):
        history = []
        for _ in range(5):
            begun = choice.uniform(0, 10)
            call = choice.choice([("write", choice.randrange(3)), ("read",), ("swap", 0, choice.randrange(3))])
            result = choice.randrange(3) if call[0] == "read" else choice.random() < 0.5
            history.append(op(begun, begun + choice.uniform(0, 5), *call, result=result))
        expected = any(explains(order) for order in itertools.permutations(history))
        assert check(history, initial=0, step=register).fine == expected
        fine += expected
    assert 50 < fine < 450


def explains(order: tuple[Operation, ...]) -> bool:
    state: int | None = 0
    for place, operation in enumerate(order):
        if any(later.ended < operation.begun for later in order[place + 1 :]):
            return False
        state = register(state, operation)
        if state is None:
            return False
    return True


def test_a_thousand_operations_of_four_at_a_time_take_moments() -> None:
    choice, state, history = random.Random(1), 0, list[Operation]()
    for number in range(1000):
        moment = float(number)
        if choice.random() < 0.5:
            state = choice.randrange(5)
            history.append(op(moment - choice.random() * 2, moment + choice.random() * 2, "write", state))
        else:
            history.append(op(moment - choice.random() * 2, moment + choice.random() * 2, "read", result=state))
    assert check(history, initial=0, step=register).fine
