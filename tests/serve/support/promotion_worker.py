"""A process that changes Production as it is told, one operation at a time, and says what came of each.

It gets `(operation, version, token)` and gives `(begun, ended, call, result, record)`: a result that begins with
`unknown` says that the change may have been made or not, and `record` is the id of the record that was made. Times are
of the clock that all processes of a machine share.
"""

import math
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from mlflow.exceptions import MlflowException

from registry.errors import FixableError, PromotionError
from registry.model.versions import client, version_of
from registry.production.approval import Passed, promote_by_hand, wait_for_approval
from registry.production.current import production
from registry.production.history import Change
from registry.production.promotion import promote, rollback
from registry.production.rollout import begin_rollout, end_rollout, running_rollout
from registry.settings import Settings
from tests.serve.support import replica_process
from tests.serve.support.linearizability import Operation

# Each process is a copy of one that has imported everything, which takes longer than all that it does here.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__, replica_process.__name__])


@dataclass(frozen=True, kw_only=True)
class Done:
    """An operation, the reason by which its record is known, and the id of that record where there was an answer."""

    token: str
    operation: Operation
    record: str = ""


@dataclass
class Worker:
    """The process from outside; killed, it is started again."""

    environment: dict[str, str]
    done: list[Done] = field(default_factory=list)
    process: Any = None
    told: Any = None

    def start(self) -> None:
        self.told, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=main, args=(theirs, self.environment), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of what it says

    def do(self, operation: str, version: int, token: str) -> None:
        begun = time.monotonic()
        try:
            self.told.send((operation, version, token))
            begun, ended, call, result, record = self.told.recv()
        except (OSError, EOFError):  # it was killed meanwhile
            ended, call, result, record = math.inf, [operation, version], ["unknown", "killed"], ""
            self.process.join()
            self.start()
        made = Operation(begun=begun, ended=ended, call=tuple(call), result=result)
        self.done.append(Done(token=token, operation=made, record=record))

    def kill(self) -> None:
        self.process.kill()


def main(told: Connection, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    settings = Settings()
    while True:
        operation, version, token = told.recv()
        begun, call, change = time.monotonic(), [operation, version], None
        try:
            call, result, change = _do(settings, operation, version, token)
        except PromotionError as error:
            result = ["refused", str(error)[:200]]
        except (FixableError, MlflowException, OSError) as error:
            result = ["unknown", str(error)[:200]]
        told.send((begun, time.monotonic(), call, result, change.id if change else ""))


Came = tuple[list[Any], list[Any], Change | None]


def _do(settings: Settings, operation: str, version: int, token: str) -> Came:
    if operation == "promote":
        return _made([operation, version], promote(settings, version_of(settings, version), why=token))
    if operation == "recalibrate":  # as that job does: fit to what is in Production, and replace nothing else
        now = production(settings)
        number = now.version if now else None
        call = ["if", number, version]
        try:
            return _made(call, promote(settings, version_of(settings, version), why=token, judged_against=number))
        except PromotionError:
            return call, ["stale"], None
    if operation == "approve":
        waiting, now = version_of(settings, version), production(settings)
        # Another worker may let the same version wait meanwhile, so what it was compared with in the end is not known.
        wait_for_approval(settings, waiting, Passed(why=token, against=now.version if now else None))
        try:
            return _made(["promote", version], promote_by_hand(settings, waiting, why=None))
        except PromotionError:
            return ["approve", version], ["overtaken"], None
    if operation == "rollback":
        return _made([operation], rollback(settings, why=token))
    if operation == "begin":
        begun = begin_rollout(settings, version_of(settings, version), share=0.5, lasts=timedelta(days=1), why=token)
        if begun.why != token:
            return [operation, version], ["running", version], None
        return [operation, version], ["begun", version], begun
    if operation == "end":
        running = running_rollout(settings)
        ended = end_rollout(settings, running, kind="ended", why=token, counts=None) if running else None
        return [operation], ["ended"] if ended else ["none"], ended
    if operation == "read":
        now = production(settings)
        return [operation], ["is", now.version if now else None], None
    client(settings).set_registered_model_alias(settings.model_name, "production", str(version))
    return ["tamper"], ["done"], None


def _made(call: list[Any], change: Change | None) -> Came:
    return call, ["moved", change.from_version, change.to_version] if change else ["already"], change
