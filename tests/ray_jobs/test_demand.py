"""How many workers a cluster's work would keep busy, from what Ray 2.60's head answers."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ray_jobs.demand import jobs, kept, wanted
from ray_jobs.drift import DRIFT

WITHOUT_A_PAUSE = "from ray_jobs import demand; demand._PAUSE_S = 0; demand.main()"


def status(*, used: float | None = None, waiting: list = ()) -> dict:
    """The part of a head's answer that matters; one without workers says nothing of CPU."""
    usage = {"node:192.0.2.2": [0.0, 1.0], "memory": [0.0, 23476554752.0]} | (
        {} if used is None else {"CPU": [used, 8.0]}
    )
    report = {"usage": usage, "resourceDemand": list(waiting), "pgDemand": [], "requestDemand": []}
    return {"result": True, "data": {"autoscalingStatus": None, "clusterStatus": {"loadMetricsReport": report}}}


@pytest.mark.parametrize(
    ("used", "waiting", "workers"),
    [
        (None, [], 0),
        (None, [[{"CPU": 1.0}, 7]], 4),
        (2.0, [], 1),
        (2.0, [[{"CPU": 1.0}, 1]], 2),
        (1.0, [[{"CPU": 2.0}, 2], [{"memory": 5.0}, 9]], 3),
        (0.0, [[{}, 3]], 0),
    ],
)
def test_tasks_that_run_and_tasks_that_wait_are_shared_out_over_workers_of_two_slots(used, waiting, workers):
    assert wanted(status(used=used, waiting=waiting), slots=2) == workers


@pytest.mark.parametrize(
    ("before", "recent", "workers"),
    [(0, [0], 0), (0, [2], 2), (2, [2, 4], 4), (4, [4, 1], 4), (4, [1, 0], 4), (4, [0, 0], 0)],
)
def test_workers_come_with_the_work_and_go_only_when_all_of_it_is_over(before, recent, workers):
    assert kept(before, recent) == workers


def job(status: str, *, entrypoint: str = "python -m ray_jobs.train", code: int | None = None, end: int | None = None):
    return {"status": status, "entrypoint": entrypoint, "driver_exit_code": code, "end_time": end}


def test_jobs_that_have_not_ended_are_counted_and_the_last_drift_job_says_whether_there_is_drift():
    open_ones = [job("PENDING"), job("RUNNING"), job("SUCCEEDED", code=0, end=1), job("STOPPED", end=2)]
    assert jobs(open_ones) == {"jobs_open": 2}
    drift = "python -m ray_jobs.drift --since 7"
    found = job("FAILED", entrypoint=drift, code=DRIFT, end=5)
    none = job("SUCCEEDED", entrypoint=drift, code=0, end=4)
    failed = job("FAILED", entrypoint=drift, code=1, end=9)
    running = job("RUNNING", entrypoint=drift)
    assert jobs([found, none, failed, running]) == {"jobs_open": 1, "drift": 1}
    assert jobs([found, none | {"end_time": 6}]) == {"jobs_open": 0, "drift": 0}
    assert jobs([]) == {"jobs_open": 0}


def test_beside_a_worker_it_lets_ecs_stop_it_only_while_there_is_no_work():
    """Against an agent that answers as ECS's does; the work is over after the first three looks."""
    busy, idle = status(waiting=[[{"CPU": 1.0}, 3]]), status()
    looks, told = [], []

    class HeadAndAgent(BaseHTTPRequestHandler):
        def do_GET(self):
            looks.append(self.path)
            self._answer(busy if len(looks) <= 3 else idle)

        def do_PUT(self):
            told.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self._answer({"protection": {"ProtectionEnabled": told[-1][1]["ProtectionEnabled"]}})

        def _answer(self, answer: dict):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), HeadAndAgent) as both:
        threading.Thread(target=both.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{both.server_port}"
        # Without the pause of a quarter of an hour, the last look alone counts.
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_A_PAUSE, "--address", address, "--every", "0.05", "--protect"],
            env={"ECS_AGENT_URI": f"{address}/api/agent", "PYTHONPATH": "."},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            lines = [json.loads(process.stdout.readline())["workers_wanted"] for _ in range(5)]
        finally:
            process.kill()
            process.communicate()
            both.shutdown()
    assert lines == [2, 2, 2, 0, 0]
    protected = {"ProtectionEnabled": True, "ExpiresInMinutes": 5}
    assert {path for path, _ in told} == {"/api/agent/task-protection/v1/state"}
    assert [said for _, said in told[:5]] == [protected] * 3 + [{"ProtectionEnabled": False}] * 2


def test_it_asks_with_the_token_and_remembers_the_most_through_a_pause(tmp_path):
    answers = [status(waiting=[[{"CPU": 1.0}, 3]]), None, status()]
    asked: list[tuple[str, str | None]] = []

    class Head(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            statuses = sum(path.startswith("/api/cluster_status") for path, _ in asked)
            answer = [job("RUNNING")] if self.path == "/api/jobs/" else answers[min(statuses, len(answers)) - 1]
            self.send_response(200 if answer else 503)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    token = tmp_path / "token"
    token.write_text("a token\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Head) as head:
        threading.Thread(target=head.serve_forever, daemon=True).start()
        command = [sys.executable, "-m", "ray_jobs.demand", "--address", f"http://127.0.0.1:{head.server_port}"]
        process = subprocess.Popen(
            [*command, "--every", "0.05"],
            env={"RAY_AUTH_TOKEN_PATH": str(token), "PYTHONPATH": "."},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            lines = [process.stdout.readline() for _ in range(3)]
        finally:
            process.kill()
            _, complaints = process.communicate()
            head.shutdown()
    assert [json.loads(line) for line in lines] == [{"workers_wanted": 2, "jobs_open": 1}] * 3
    assert set(asked) == {(path, "Bearer a token") for path in ("/api/cluster_status?format=0", "/api/jobs/")}
    assert complaints.count("did not say: <HTTPError 503") == 1
