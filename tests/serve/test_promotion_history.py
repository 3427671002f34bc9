"""Production under a checker: many processes change it at once, all that can be killed is, and one order explains it.

Real processes: jobs that promote, roll back, approve, replace what they were judged against, begin and end canaries,
and move the alias behind the history's back; an MLflow server; replicas that answer. At length there are two replicas
of Ray Serve, and MLflow has its records in Postgres and its files, as the history its copies, in an S3 store. A seed
decides who does what and who is killed when; it is printed, and `HM_SEED` replays it.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from registry.model.versions import ModelVersion, aliased, fetch, version_of
from registry.production.history import Change
from registry.production.journal import Journal
from registry.production.promotion import history, promote
from registry.production.record_store import RecordStore
from registry.settings import Settings
from tests.serve.support.answers_in_order import unexplained
from tests.serve.support.fault_proxy import MlflowServer
from tests.serve.support.history import Event, Traffic, answers_of, violations
from tests.serve.support.kill_schedule import Kill, kill_schedule
from tests.serve.support.linearizability import check
from tests.serve.support.models import GeneratedXrays, Registry
from tests.serve.support.production_model import not_before, production_step, settled, standing
from tests.serve.support.promotion_worker import Done, Worker
from tests.serve.support.serving import OneProcess, OnRay, Serving, serves_only
from tests.serve.support.stores import missing, stores
from tests.serve.support.waiting import until

JOBS = 3
CLIENTS = 2
OPERATIONS = ("promote", "rollback", "approve", "recalibrate", "begin", "end", "read", "read", "tamper")


@dataclass(frozen=True, kw_only=True)
class Part:
    """What can be killed; `kill` returns once it is there again. Without one that is `needed`, no job says anything."""

    kill: Callable[[random.Random], None]
    needed: bool = False


@dataclass(frozen=True, kw_only=True)
class System:
    settings: Settings
    serving: Serving
    jobs: Sequence[Worker]
    parts: Mapping[str, Part]


def killed(server) -> Callable[[random.Random], None]:
    def kill(_: random.Random) -> None:
        server.kill()
        server.start()

    return kill


@contextmanager
def started(settings: Settings, serving: Serving, more: Mapping[str, str], parts: Mapping[str, Part]):
    """The replicas and the jobs over a registry whose first version is in Production."""
    promote(settings, version_of(settings, 1), why="the first")
    environment = {
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "STATE_URI": settings.state_uri,
        "MODEL_NAME": settings.model_name,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "PROMOTED_BY": "a worker",
        **more,
    }
    with ExitStack() as stack:
        stack.callback(serving.stop)
        serving.start()
        jobs = [Worker(environment) for _ in range(JOBS)]
        for job in jobs:
            job.start()
            stack.callback(job.kill)
        of_all = {"job": Part(kill=lambda choice: choice.choice(jobs).kill()), "replica": Part(kill=serving.kill_one)}
        yield System(settings=settings, serving=serving, jobs=jobs, parts={**of_all, **parts})


@contextmanager
def of_files(template: Registry, folder: Path) -> Iterator[System]:
    """MLflow's server on SQLite and a folder, and one replica, over a copy of a registry: it starts in seconds."""
    copied = template.copied(folder).settings
    server = MlflowServer(folder)
    try:
        settings = copied.model_copy(update={"mlflow_tracking_uri": server.url})
        more = {"PREDICTION_RECORDS": "off"}
        replica = OneProcess({"MLFLOW_TRACKING_URI": server.url, "STATE_URI": settings.state_uri, **more}, folder)
        with started(settings, replica, more, {"MLflow": Part(kill=killed(server), needed=True)}) as system:
            yield system
    finally:
        server.kill()


@contextmanager
def of_stores(training_set: GeneratedXrays, folder: Path) -> Iterator[System]:
    """MLflow's server on Postgres and an S3 store, which has the state too, and two replicas of Ray Serve."""
    with ExitStack() as stack:
        database, objects = stack.enter_context(stores())
        stack.enter_context(mock.patch.dict(os.environ, objects.variables))
        objects.make_bucket("checked")
        server = MlflowServer(folder, database=database.address, artifacts="s3://checked/artefacts")
        stack.callback(server.kill)
        # A name of its own: replicas whose state is in a bucket keep their last model in the folder of the checkout.
        settings = Settings(mlflow_tracking_uri=server.url, state_uri="s3://checked/state", model_name="checked")
        registry = Registry.behind(settings, folder / "versions", training_set)
        for strength in (1.0, 0.01, 0.0001):
            registry.add(strength)
        away = {
            "MLflow": Part(kill=killed(server), needed=True),
            "Postgres": Part(kill=killed(database), needed=True),
            "object store": Part(kill=killed(objects), needed=True),
        }
        yield stack.enter_context(started(settings, OnRay(settings), objects.variables, away))


def drive(system: System, schedule: Sequence[Kill], *, operations: int, seed: int) -> None:
    """Let the jobs do so many operations, while the schedule kills one part after the other.

    What is to come after the next kill waits for it, so that every kill meets work under way.
    """
    state, may, done = threading.Condition(), 0, 0
    numbers = iter(range(operations))

    def work(job: Worker, choice: random.Random) -> None:
        nonlocal done
        while True:
            with state:
                number = next(numbers, None)
                if number is None:
                    return
                state.wait_for(lambda number=number: number < may)
            job.do(choice.choice(OPERATIONS), choice.randint(1, 3), f"token-{number}")
            with state:
                done += 1
                state.notify_all()

    def let(until_number: int) -> None:
        nonlocal may
        with state:
            may = until_number
            state.notify_all()

    threads = [
        threading.Thread(target=work, args=(job, random.Random(seed + place))) for place, job in enumerate(system.jobs)
    ]
    for thread in threads:
        thread.start()
    choice, ends = random.Random(seed - 1), [*(kill.after for kill in schedule[1:]), operations]
    try:
        for kill, end in zip(schedule, ends, strict=True):
            let(end)
            with state:
                state.wait_for(lambda kill=kill: done >= kill.after)
            time.sleep(kill.pause_s)
            part = system.parts[kill.part]
            if part.needed:
                let(0)  # what is asked of a server that is away is done in no time, and says nothing
            part.kill(choice)
    finally:
        let(operations)
        for thread in threads:
            thread.join()


def run(system: System, pictures: Sequence[bytes], folder: Path, *, operations: int, kills: int) -> None:
    seed = int(os.environ.get("HM_SEED", "20265"))
    schedule = kill_schedule(tuple(system.parts), kills=kills, operations=operations, seed=seed)
    print(f"HM_SEED={seed}; kills: {', '.join(map(str, schedule))}")
    settings, serving = system.settings, system.serving
    versions = [version_of(settings, number) for number in (1, 2, 3)]
    answers = expected(settings, versions, pictures, folder)
    first = len(history(settings))
    with Traffic(serving.url, pictures, clients=CLIENTS, seed=seed, pause_s=0.2) as traffic:
        drive(system, schedule, operations=operations, seed=seed)
        Journal(settings).append(lambda now: None)  # whoever comes next finishes what the killed began
        changes = history(settings)
        until(lambda: serves_only(serving, changes[-1].to_version or 0), seconds=120)
    done = [one for job in system.jobs for one in job.done]
    print(f"{len(done)} operations: {dict(Counter(one.operation.result[0] for one in done))}, {len(changes)} records")
    became = Counter(event.lost or event.status for event in traffic.events)
    away = ", ".join(f"{end - begin:.0f} s" for begin, end in serving.kills)
    print(f"{len(traffic.events)} requests: {dict(became)}; a replica was away for {away}")
    check_record(settings, changes, done, first=first)
    check_answers(traffic.events, answers, serving, changes, not_before(done, changes))


def expected(
    settings: Settings, versions: Sequence[ModelVersion], pictures: Sequence[bytes], folder: Path
) -> dict[int, list[float | str]]:
    """What each version has to answer."""
    return {one.version: answers_of(fetch(settings, one, folder / str(one.version)), pictures) for one in versions}


def check_record(settings: Settings, changes: list[Change], done: Sequence[Done], *, first: int) -> None:
    """One order explains all results, every acknowledged change is on record, and the two places agree."""
    recorded = {change.id for change in changes}
    assert [one for one in done if one.record and one.record not in recorded] == []
    assert [one.from_version for one in changes[1:]] == [one.to_version for one in changes[:-1]]
    assert RecordStore(settings).read(thorough=True).problems == ()
    now = aliased(settings)
    assert now
    assert now.version == changes[-1].to_version
    verdict = check(settled(done, changes[first:]), initial=standing(changes[:first]), step=production_step)
    assert verdict.fine, f"no order explains {verdict.stuck}; {len(verdict.order)} of {len(done)} were explained"


def check_answers(
    events: Sequence[Event],
    answers: Mapping[int, list[float | str]],
    serving: Serving,
    changes: Sequence[Change],
    known: Sequence[float],
) -> None:
    """Every answer is right for the version it names and comes in the order of the history; only who asked while a
    replica was away got none."""
    assert violations(events, answers, serving.kills) == []
    failed = [event for event in events if event.status != 200]
    assert [one for one in failed if not any(one.begun <= e and b <= one.ended for b, e in serving.kills)] == []
    if serving.replicas > 1:  # the others go on, and the one that comes in place has a model when requests reach it
        assert len(failed) <= CLIENTS * len(serving.kills)
        assert "no-model" not in {event.body.get("code") for event in failed}
    for client in range(CLIENTS):
        own = [event for event in events if event.client == client]
        assert unexplained(own, changes, not_before=known, replicas=serving.replicas) is None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, training_set: GeneratedXrays) -> Registry:
    """A registry of its own, since a rollback could lead back to what other tests had put into Production."""
    return Registry.of_three(tmp_path_factory.mktemp("template"), training_set)


def test_forty_changes_at_once_and_three_kills_have_an_order_that_explains_them(
    template: Registry, tmp_path: Path
) -> None:
    with of_files(template, tmp_path) as system:
        run(system, template.training_set.images[:8], tmp_path / "expected", operations=40, kills=3)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_changes_at_once_and_thirty_kills_have_an_order_that_explains_them(
    training_set: GeneratedXrays, tmp_path: Path
) -> None:
    if reason := missing():
        pytest.skip(reason)
    with of_stores(training_set, tmp_path) as system:
        run(system, training_set.images[:8], tmp_path / "expected", operations=1000, kills=30)
