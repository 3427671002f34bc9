"""Stopping: what is under way is answered, what is new is turned away, and the signal reaches whoever drains."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from fastapi.testclient import TestClient

from registry.settings import ROOT, Settings
from serve.__main__ import end_session
from serve.api import create_app
from serve.http.limits import RequestLimits
from serve.lifecycle.drain import drain
from serve.metrics import FOLDER_VARIABLE
from serve.production.model import Holder, Served
from serve.run_folder import RunFolder
from tests.serve.support.gate import Gate, in_work
from tests.serve.support.models import JPEG, Registry
from tests.serve.support.waiting import answers, free_port, until


def test_once_it_is_to_stop_new_work_and_the_readiness_probe_are_turned_away_and_what_is_under_way_is_answered(
    model: Served, settings: Settings, tmp_path: Path
) -> None:
    gate, flag = Gate(model), tmp_path / "stopping"
    holder = Holder(served=replace(model, bundle=gate))  # type: ignore[arg-type]
    image = model.bundle.golden[0].image
    with TestClient(create_app(holder, settings=settings, stopping=flag)) as client:
        assert client.get("/readyz").status_code == 200

        def post() -> httpx.Response:
            return client.post("/predict", content=image, headers=JPEG)

        with in_work(gate, lambda: post().status_code, requests=1) as answers:
            flag.touch()
            until(lambda: client.get("/readyz").status_code == 503)
            refused = post()
            probe = client.get("/readyz")
            assert client.get("/healthz").status_code == 200
    for answer in (refused, probe):
        assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
        assert int(answer.headers["retry-after"]) > 0
    assert answers == [200]


def test_an_answer_that_takes_too_long_is_given_up_and_its_place_is_free_again(
    model: Served, settings: Settings
) -> None:
    gate = Gate(model)
    holder = Holder(served=replace(model, bundle=gate))  # type: ignore[arg-type]
    image = model.bundle.golden[0].image
    limits = RequestLimits(in_work=1, answer_s=0.2)
    with TestClient(create_app(holder, settings=settings, limits=limits, threads=1)) as client:
        for _ in range(3):
            answer = client.post("/predict", content=image, headers=JPEG)
            assert (answer.status_code, answer.json()["code"]) == (503, "too-slow")
            assert int(answer.headers["retry-after"]) > 0
        gate.open.set()
        until(lambda: client.post("/predict", content=image, headers=JPEG).status_code == 200)


_REPLICA = """
import asyncio, sys
from serve.load import Load
from serve.metrics import Metrics

async def main():
    load, metrics = Load(), Metrics()
    metrics.follow(load)
    load.requests_open.add(1)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    load.requests_open.add(-1)
    await asyncio.sleep(0.3)  # the drain has looked at least once, and must not take this for an end
    print("done", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.fixture
def busy_replica(tmp_path: Path) -> Iterator[tuple[RunFolder, subprocess.Popen]]:
    """A process that has a request open, and answers nobody who asks it over HTTP."""
    folder = RunFolder(tmp_path)
    folder.metrics.mkdir()
    environment = {**os.environ, FOLDER_VARIABLE: str(folder.metrics)}
    command = [sys.executable, "-c", _REPLICA]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield folder, process
        process.kill()


def test_a_replica_that_answers_no_question_is_waited_for_as_long_as_it_has_a_request_open(
    busy_replica: tuple[RunFolder, subprocess.Popen],
) -> None:
    folder, process = busy_replica
    assert not drain(folder, seconds=0.5)
    assert folder.stopping.exists()
    process.send_signal(signal.SIGSTOP)
    assert not drain(folder, seconds=0.5)
    process.send_signal(signal.SIGCONT)
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    assert drain(folder, seconds=0.0)


def test_a_replica_that_was_killed_is_not_waited_for(busy_replica: tuple[RunFolder, subprocess.Popen]) -> None:
    folder, process = busy_replica
    process.kill()
    process.wait(30)
    assert drain(folder, seconds=0.0)


def test_a_start_that_failed_before_there_was_an_application_has_nothing_to_wait_for(tmp_path: Path) -> None:
    assert drain(RunFolder(tmp_path), seconds=0.0)


def test_what_a_session_leaves_behind_is_ended_with_it() -> None:
    script = "sleep 600 & echo $!"
    leader = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert leader.stdout
    orphan = psutil.Process(int(leader.stdout.readline()))
    assert leader.wait(30) == 0
    assert orphan.is_running()
    end_session(leader.pid)
    until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)


@pytest.fixture
def served_by_command(registry_template: Registry, tmp_path: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """`python -m serve` in a process group of its own, once it is ready."""
    registry_template.promote(registry_template.versions[0])
    port = free_port()
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": registry_template.settings.tracking_uri,
        "STATE_URI": str(tmp_path / "state"),
        "HTTP_PORT": str(port),
        "MLFLOW_PORT": str(free_port()),
    }
    log = (tmp_path / "serve.log").open("wb")
    command = [sys.executable, "-m", "serve"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is not None or answers(f"{url}/readyz"), seconds=180)
        assert process.poll() is None, (tmp_path / "serve.log").read_text()
        yield process, url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(90)
        log.close()


def test_a_signal_to_the_whole_group_drains_every_request_that_was_let_in(
    served_by_command: tuple[subprocess.Popen, str], registry_template: Registry, tmp_path: Path
) -> None:
    process, url = served_by_command
    files = [("file", (f"{index}.jpeg", image)) for index, image in enumerate(registry_template.training_set.images)]
    outcomes: list[list[object]] = [[] for _ in range(4)]

    def load(seen: list[object]) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while True:
                try:
                    answer = client.post("/predict", files=files)
                except httpx.HTTPError as error:
                    seen.append(type(error).__name__)
                    return
                seen.append(answer.status_code)
                if answer.status_code != 200:
                    assert answer.json()["code"] in ("stopping", "busy")
                    assert int(answer.headers["retry-after"]) > 0
                    time.sleep(0.5)  # as a client does that heeds Retry-After, or it would ask thousands of times

    threads = [threading.Thread(target=load, args=(seen,)) for seen in outcomes]
    for thread in threads:
        thread.start()
    until(lambda: all(len(seen) > 2 for seen in outcomes))
    os.killpg(process.pid, signal.SIGTERM)
    for thread in threads:
        thread.join(90)
    assert process.wait(90) == 0
    text = (tmp_path / "serve.log").read_text().splitlines()
    lines = [line for line in map(json.loads, text) if line.get("route") == "/predict"]  # all of it is JSON
    assert {line["status"] for line in lines} <= {200, 503}
    let_in = [line for line in lines if line["status"] == 200]
    assert sum(seen.count(200) for seen in outcomes) == len(let_in)
    for seen in outcomes:
        assert set(seen[:-1]) <= {200, 503}
