"""A process that changes Production as it is told, one operation at a time, and says what came of each.

It gets `(operation, version, token)` and gives `(begun, ended, call, result)`; a result that begins with `unknown` says
that the change may have been made or not. Times are of the clock that all processes of a machine share.
"""

import os
import time
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from mlflow.exceptions import MlflowException

from registry.approval import Passed, promote_by_hand, wait_for_approval
from registry.errors import FixableError, PromotionError
from registry.history import Change
from registry.production import production
from registry.promotion import promote, rollback
from registry.rollout import begin_rollout, end_rollout, running_rollout
from registry.settings import Settings
from registry.versions import client, version_of


def main(told: Connection, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    settings = Settings()
    while True:
        operation, version, token = told.recv()
        begun, call = time.monotonic(), [operation, version]
        try:
            call, result = _do(settings, operation, version, token)
        except PromotionError as error:
            result = ["refused", str(error)[:200]]
        except (FixableError, MlflowException, OSError) as error:
            result = ["unknown", str(error)[:200]]
        told.send((begun, time.monotonic(), call, result))


def _do(settings: Settings, operation: str, version: int, token: str) -> tuple[list[Any], list[Any]]:
    if operation == "promote":
        return [operation, version], _made(promote(settings, version_of(settings, version), why=token))
    if operation == "recalibrate":  # as that job does: fit to what is in Production, and replace nothing else
        return _judged(
            settings,
            version,
            lambda now: promote(settings, version_of(settings, version), why=token, judged_against=now),
        )
    if operation == "approve":
        waiting, now = version_of(settings, version), production(settings)
        # Another worker may let the same version wait meanwhile, so what it was compared with in the end is not known.
        wait_for_approval(settings, waiting, Passed(why=token, against=now.version if now else None))
        try:
            return ["promote", version], _made(promote_by_hand(settings, waiting, why=None))
        except PromotionError:
            return ["approve", version], ["overtaken"]
    if operation == "rollback":
        return [operation], _made(rollback(settings, why=token))
    if operation == "begin":
        begun = begin_rollout(settings, version_of(settings, version), share=0.5, lasts=timedelta(hours=1), why=token)
        return [operation, version], ["begun", version] if begun.why == token else ["running", version]
    if operation == "end":
        running = running_rollout(settings)
        ended = end_rollout(settings, running, kind="ended", why=token, counts=None) if running else None
        return [operation], ["ended"] if ended else ["none"]
    if operation == "read":
        now = production(settings)
        return [operation], ["is", now.version if now else None]
    client(settings).set_registered_model_alias(settings.model_name, "production", str(version))
    return ["tamper"], ["done"]


def _judged(settings: Settings, version: int, change: Any) -> tuple[list[Any], list[Any]]:
    now = production(settings)
    number = now.version if now else None
    call = ["if", number, version]
    try:
        return call, _made(change(number))
    except PromotionError:
        return call, ["stale"]


def _made(change: Change | None) -> list[Any]:
    return ["moved", change.from_version, change.to_version] if change else ["already"]
