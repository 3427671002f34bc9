"""Production under a checker: many processes change it at once, some are killed, and one order explains what each saw.

Real processes: workers that promote, roll back, approve, replace what they were judged against, begin and end canaries,
and move the alias behind the history's back; an MLflow server; a replica that answers. A seed decides who does what and
who is killed when; `HM_SEED` replays another one.
"""

import math
import multiprocessing
import os
import random
import shutil
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.bundle import read_bundle
from registry.history import Change
from registry.journal import Journal
from registry.promotion import history, promote
from registry.record_store import RecordStore
from registry.settings import Settings
from registry.versions import aliased, version_of
from tests.serve.support import promotion_worker, replica_process
from tests.serve.support.fault_proxy import MlflowServer
from tests.serve.support.history import Event, Traffic, answers_of, follows, seen_by_each, violations
from tests.serve.support.linearizability import Operation, check
from tests.serve.support.models import GeneratedXrays, Registry
from tests.serve.support.waiting import free_port, until

WORKERS = 3
OPERATIONS = ("promote", "rollback", "approve", "recalibrate", "begin", "end", "read", "read", "tamper")
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


# Each process is a copy of one that has imported everything, which takes longer than all that it does here.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([promotion_worker.__name__, replica_process.__name__])


@dataclass
class Worker:
    """A process that does one operation at a time; killed, it is started again."""

    environment: dict[str, str]
    operations: list[tuple[str, Operation]] = field(default_factory=list)
    process: Any = None
    told: Any = None

    def start(self) -> None:
        self.told, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=promotion_worker.main, args=(theirs, self.environment), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of what it says

    def do(self, operation: str, version: int, token: str) -> None:
        begun = time.monotonic()
        try:
            self.told.send((operation, version, token))
            begun, ended, call, result = self.told.recv()
        except (OSError, EOFError):  # it was killed meanwhile
            ended, call, result = math.inf, [operation, version], ["unknown", "killed"]
            self.process.join()
            self.start()
        self.operations.append((token, of(call, result, begun, ended)))

    def kill(self) -> None:
        self.process.kill()


@dataclass
class Replica:
    """The process that answers."""

    url: str
    environment: dict[str, str]
    folder: Path
    process: Any = None
    kills: list[tuple[float, float]] = field(default_factory=list)

    def start(self) -> None:
        port = int(self.url.rpartition(":")[2])
        arguments = (port, self.folder, self.environment)
        self.process = PROCESSES.Process(target=replica_process.main, args=arguments, daemon=True)
        self.process.start()
        until(self.ready, seconds=400)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()

    def ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        return False

    def kill(self) -> None:
        begun = time.monotonic()
        self.stop()
        self.start()
        self.kills.append((begun, time.monotonic()))


@contextmanager
def system(template: Registry, folder: Path):
    """MLflow's server, the replica and the workers over a copy of a registry with its first version in Production."""
    source = Path(template.settings.mlflow_tracking_uri.removeprefix("sqlite:///"))
    shutil.copy(source, folder / "mlflow.db")
    if (state := Path(template.settings.state_uri)).is_dir():
        shutil.copytree(state, folder / "state")
    before = template.settings.model_copy(
        update={"mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db", "state_uri": str(folder / "state")}
    )
    promote(before, version_of(before, 1), why="the first")
    with ExitStack() as stack:
        server = MlflowServer(folder)
        stack.callback(server.kill)
        settings = before.model_copy(update={"mlflow_tracking_uri": server.url})
        environment = {
            "MLFLOW_TRACKING_URI": server.url,
            "STATE_URI": settings.state_uri,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
            "PROMOTED_BY": "a worker",
            "PREDICTION_RECORDS": "off",
        }
        replica = Replica(f"http://127.0.0.1:{free_port()}", environment, folder)
        replica.start()
        stack.callback(replica.stop)
        workers = [Worker(environment) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
            stack.callback(worker.kill)
        yield settings, server, replica, workers


def drive(
    workers: list[Worker], server: MlflowServer, replica: Replica, *, operations: int, seed: int, kills: int
) -> None:
    """Let the workers do so many operations, while a schedule kills now a worker, now MLflow, now the replica."""
    numbers, lock = iter(range(operations)), threading.Lock()
    done, up = threading.Semaphore(0), threading.Event()
    up.set()

    def work(worker: Worker, choice: random.Random) -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            up.wait()  # what is asked of a server that is away is done in no time, and says nothing
            worker.do(choice.choice(OPERATIONS), choice.randint(1, 3), f"token-{number}")
            done.release()

    threads = [
        threading.Thread(target=work, args=(worker, random.Random(seed + place)))
        for place, worker in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    choice = random.Random(seed - 1)
    try:
        for number in range(kills):
            for _ in range(operations // (kills + 1)):
                while not done.acquire(timeout=1):
                    if not any(thread.is_alive() for thread in threads):
                        return
            time.sleep(choice.random())
            victim = ("worker", "server", "replica")[number % 3]
            if victim == "worker":
                choice.choice(workers).kill()
            elif victim == "server":
                up.clear()
                server.kill()
                server.start()
                up.set()
            else:
                replica.kill()
    finally:
        up.set()
        for thread in threads:
            thread.join()


def settled(told: list[tuple[str, Operation]], changes: list[Change]) -> list[Operation]:
    """The operations; what got no answer happened if it is on record, at any time later, and else had no effect."""
    recorded = {change.why.removeprefix("approved: ").partition(".")[0]: change for change in changes}
    found = []
    for token, operation in told:
        if operation.result[0] != "unknown":
            found.append(operation)
        elif change := recorded.get(token):
            if change.rollout:
                call, result = ["begin", change.rollout.version], ["begun", change.rollout.version]
            elif change.kind == "ended":
                call, result = ["end"], ["ended"]
            elif change.kind == "rollback":
                call, result = ["rollback"], ["moved", change.from_version, change.to_version]
            else:
                call, result = ["promote", change.to_version], ["moved", change.from_version, change.to_version]
            found.append(of(call, result, operation.begun, math.inf))
    # A canary that its rule took back was ended by nobody's operation, at some time after it began.
    return found + [of(["end"], ["ended"], 0, math.inf) for change in changes if change.kind == "taken back"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, training_set: GeneratedXrays) -> Registry:
    """A registry of its own, since a rollback could lead back to what other tests had put into Production."""
    return Registry.of_three(tmp_path_factory.mktemp("template"), training_set)


def run(template: Registry, folder: Path, *, operations: int, kills: int) -> None:
    seed = int(os.environ.get("HM_SEED", "20265"))
    versions = template.versions[:3]
    pictures = template.training_set.images[:8]
    answers = {
        one.version: answers_of(read_bundle(template.files_of(one), digest=one.digest), pictures) for one in versions
    }
    with system(template, folder) as (settings, server, replica, workers):
        begun = len(history(settings))
        with Traffic(replica.url, pictures, clients=2, seed=seed, pause_s=0.2) as traffic:
            drive(workers, server, replica, operations=operations, seed=seed, kills=kills)
        Journal(settings).append(lambda now: None)  # whoever comes next finishes what the killed began
        changes = history(settings)
        told = [operation for worker in workers for operation in worker.operations]
        verify(settings, changes, told, first=begun)
        events = traffic.events
        check_answers(events, answers, replica.kills, [c.to_version for c in changes if c.to_version], changes)
        outcomes = Counter(operation.result[0] for _, operation in told)
        print(
            f"seed {seed}: {len(told)} operations ({dict(outcomes)}), {kills} kills, {len(events)} requests,", end=" "
        )
        print(f"{len(changes) - begun} records")


def verify(settings: Settings, changes: list[Change], told: list[tuple[str, Operation]], *, first: int) -> None:
    """One order explains all results, every acknowledged change is on record, and the two places agree."""
    recorded = {change.why.removeprefix("approved: ").partition(".")[0] for change in changes}
    acknowledged = [token for token, one in told if one.result[0] in ("moved", "begun", "ended")]
    assert [token for token in acknowledged if token not in recorded] == []
    assert [one.from_version for one in changes[1:]] == [one.to_version for one in changes[:-1]]
    assert RecordStore(settings).read(thorough=True).problems == ()
    now = aliased(settings)
    assert now
    assert now.version == changes[-1].to_version
    stack: list[int] = []
    for change in changes[:first]:
        if change.kind == "promotion":
            stack.append(change.to_version or 0)
        elif change.kind == "rollback":
            stack.pop()
    verdict = check(settled(told, changes), initial=(tuple(stack), None), step=production_step)
    assert verdict.fine, f"no order explains {verdict.stuck}; {len(verdict.order)} of {len(told)} were explained"


def check_answers(
    events: list[Event],
    answers: dict[int, list[float | str]],
    kills: list[tuple[float, float]],
    promotions: list[int],
    changes: list[Change],
) -> None:
    """Every answer is right for the version it names, and no client sees a version that is neither Production's, in the
    order of the history, nor a canary's."""
    assert violations(events, answers, kills) == []
    canaries = {change.rollout.version for change in changes if change.rollout}
    for seen in seen_by_each(events):
        assert set(seen) <= {*promotions, *canaries}
        if not canaries:
            assert follows(promotions, seen)


def test_forty_changes_at_once_and_three_kills_have_an_order_that_explains_them(
    template: Registry, tmp_path: Path
) -> None:
    run(template, tmp_path, operations=40, kills=3)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_changes_at_once_and_thirty_kills_have_an_order_that_explains_them(
    template: Registry, tmp_path: Path
) -> None:
    run(template, tmp_path, operations=1000, kills=30)
