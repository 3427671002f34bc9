"""Production as it should be: what each operation may give in each state, and which operations a run consists of."""

import math
from collections.abc import Sequence

from registry.production.history import Change
from tests.serve.support.linearizability import Operation
from tests.serve.support.promotion_worker import Done

State = tuple[tuple[int, ...], int | None]  # the promotions that no rollback has undone, and who is in canary


def production_step(state: State, operation: Operation) -> State | None:
    """The state after an operation that gave its result in this state; None if it could not have."""
    (standing, canary), result = state, list(operation.result)
    now = standing[-1]
    kind, *given = operation.call
    if kind == "if" and result == ["stale"]:
        return state if given[0] != now else None
    if kind == "if" and given[0] != now and result[0] == "moved":
        return None
    if kind in ("promote", "if"):
        if result == ["already"]:
            return state if given[-1] == now else None
        return ((*standing, given[-1]), None) if result == ["moved", now, given[-1]] and given[-1] != now else None
    if kind == "rollback":
        if result[0] == "refused":
            return state if len(standing) == 1 else None
        return (standing[:-1], None) if len(standing) > 1 and result == ["moved", now, standing[-2]] else None
    if kind == "begin":
        if result[0] == "refused":  # it is in Production, or another one is in canary
            return state if given[0] == now or (canary is not None and canary != given[0]) else None
        if result[0] == "running":
            return state if canary == given[0] else None
        return (standing, given[0]) if given[0] != now and canary is None else None
    if kind == "end":
        return (
            (standing, None) if result == ["ended"] and canary is not None else (state if result == ["none"] else None)
        )
    if kind == "read":
        return state if result == ["is", now] else None
    return state


def token_of(change: Change) -> str:
    """The reason by which an operation's record is known."""
    return change.why.removeprefix("approved: ").partition(".")[0]


def standing(changes: Sequence[Change]) -> State:
    """The state that records lead to."""
    stack, canary = list[int](), None
    for change in changes:
        if change.kind == "promotion":
            stack.append(change.to_version or 0)
        elif change.kind == "rollback":
            stack.pop()
        if change.kind not in ("alias", "repair"):
            canary = change.rollout.version if change.rollout else None
    return tuple(stack), canary


def settled(done: Sequence[Done], changes: Sequence[Change]) -> list[Operation]:
    """The operations that got an answer, and one for each record of the run that nobody was told of.

    What got no answer has happened if it is on record, at any time after it began; and a canary that its rule took
    back was ended by nobody's operation.
    """
    begun, told = {one.token: one.operation.begun for one in done}, {one.record for one in done}
    found = [one.operation for one in done if one.operation.result[0] != "unknown"]
    for change in changes:
        if change.id in told or change.kind in ("alias", "repair"):
            continue
        if change.rollout:
            call, result = ["begin", change.rollout.version], ["begun", change.rollout.version]
        elif change.kind in ("ended", "taken back"):
            call, result = ["end"], ["ended"]
        else:
            call = ["rollback"] if change.kind == "rollback" else ["promote", change.to_version]
            result = ["moved", change.from_version, change.to_version]
        since = begun.get(token_of(change), 0)
        found.append(Operation(begun=since, ended=math.inf, call=tuple(call), result=result))
    return found


def not_before(done: Sequence[Done], changes: Sequence[Change]) -> list[float]:
    """For each record, a moment before which nobody can have seen it: its operation began then, or the one before."""
    begun, at, found = {one.token: one.operation.begun for one in done}, -math.inf, []
    for change in changes:
        at = max(at, begun.get(token_of(change), at))
        found.append(at)
    return found
