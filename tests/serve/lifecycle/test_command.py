"""`python -m serve` at a terminal and in a pipe, on a first start, with nothing trained yet."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.settings import ROOT
from tests.serve.support.waiting import answers, free_port, until

_COMMAND = [sys.executable, "-m", "serve"]
_STARTS_WITHIN_S = 420.0  # Ray is tried twice on a busy machine
_COMPLAINTS = ("Traceback", "raylet", "SIGTERM", "Exception", "leaked")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The environment of a first start."""
    return {
        **os.environ,
        "STATE_URI": str(tmp_path / "state"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "HTTP_PORT": str(free_port()),
        "MLFLOW_PORT": str(free_port()),
        "LOG_FORMAT": "auto",
    }


class Listener:
    """What is written to a file descriptor, until its other end is closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.heard = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # a terminal without a process is an error
            while part := os.read(self._descriptor, 65_536):
                self.heard += part

    def all(self) -> str:
        self._thread.join(30)
        return self.heard.decode()


@contextlib.contextmanager
def ended(pid: int) -> Iterator[None]:
    """A test that fails leaves no server behind."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def test_help_is_text_also_in_a_pipe_and_trains_nothing(variables):
    asked = subprocess.run([*_COMMAND, "--train", "--help"], env=variables, capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("usage: python -m serve ")
    assert asked.stderr == ""


def test_at_a_terminal_there_is_text_that_ends_with_the_addresses_and_ctrl_c_stops_it_quietly(variables):
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(_COMMAND[0], _COMMAND, variables)
    listener = Listener(terminal)
    with ended(pid):
        until(lambda: b"Ctrl-C stops it." in listener.heard, seconds=_STARTS_WITHIN_S)
        before, page, end = listener.heard.decode().partition(f"  Page    http://127.0.0.1:{variables['HTTP_PORT']}")
        assert page
        assert "  MLflow  http://127.0.0.1" in end
        assert "{" not in before
        assert "INFO" not in before
        os.write(terminal, b"\x03")
        status = os.waitpid(pid, 0)[1]
    said = listener.all()
    assert os.waitstatus_to_exitcode(status) == 0, said
    assert "Stopping. Requests that are under way are answered first.\r\n" in said
    assert not any(word in said for word in _COMPLAINTS), said


def test_in_a_pipe_every_line_of_a_first_use_behind_rays_own_proxy_is_json_until_sigterm_stops_it(variables):
    behind_rays_proxy = {**variables, "SERVE_INGRESS": "python"}
    process = subprocess.Popen(
        _COMMAND, cwd=ROOT, env=behind_rays_proxy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    listener = Listener(process.stdout.fileno())
    with ended(process.pid):
        until(lambda: b"Serving at" in listener.heard or process.poll() is not None, seconds=_STARTS_WITHIN_S)
        url = f"http://127.0.0.1:{variables['HTTP_PORT']}/healthz"
        answer = httpx.get(url, headers={"X-Request-ID": "mine-1"}, timeout=30)
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
    assert answer.headers.get_list("x-request-id") == ["mine-1"]
    lines = [json.loads(line) for line in listener.all().splitlines()]
    assert code == 0, lines
    assert not any(word in line["message"] for line in lines for word in _COMPLAINTS), lines
    assert [line["message"].split(".")[0] for line in lines if line["logger"] == "serve"] == [
        "Starting Ray and the server",
        "Serving at http://127",
        "Stopping",
    ]


def test_a_signal_that_comes_before_the_start_is_complete_stops_it_in_the_same_words(variables):
    process = subprocess.Popen(_COMMAND, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout
    listener = Listener(process.stdout.fileno())
    with ended(process.pid):
        until(lambda: answers(f"http://127.0.0.1:{variables['HTTP_PORT']}/healthz"), seconds=_STARTS_WITHIN_S)
        process.send_signal(signal.SIGTERM)  # Ray still waits for the application, with its own handler in place
        code = process.wait(120)
    lines = [json.loads(line) for line in listener.all().splitlines()]
    assert code == 0, lines
    assert not any(word in line["message"] for line in lines for word in _COMPLAINTS), lines
    said = [line["message"].split(".")[0] for line in lines if line["logger"] == "serve"]
    assert said == ["Starting Ray and the server", "Stopping"]


def test_beside_a_training_the_page_answers_once_there_is_a_model_and_no_sooner(variables):
    url = f"http://127.0.0.1:{variables['HTTP_PORT']}"
    process = _with_training(variables, DATA_URI="synthetic:40")
    assert process.stdout
    listener = Listener(process.stdout.fileno())
    early = set[int]()
    with ended(process.pid):
        while b"Serving at" not in listener.heard and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                early.add(httpx.get(url, timeout=30).status_code)
            time.sleep(0.2)
        status, model = httpx.get(url, timeout=30).status_code, httpx.get(f"{url}/model", timeout=30).json()
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
    said = listener.all()
    assert (status, model["version"], code) == (200, 1, 0), said
    assert early <= {200, 503}, said
    assert "No version is in Production" not in said
    assert '"model": "pneumonia version 1 answers."' in said
    assert not any(word in said for word in _COMPLAINTS), said


def test_a_training_that_cannot_be_done_ends_the_server_beside_it(variables, tmp_path):
    process = _with_training(variables, DATA_URI=str(tmp_path / "nowhere"))
    said = process.communicate(timeout=_STARTS_WITHIN_S)[0].decode()
    assert process.returncode == 1
    assert said.count(f"the folder '{tmp_path}/nowhere' does not exist") == 1
    assert not answers(f"http://127.0.0.1:{variables['HTTP_PORT']}/healthz")


def test_a_signal_during_the_training_ends_both_and_says_how_to_go_on(variables):
    process = _with_training(variables, DATA_URI="synthetic:600")
    assert process.stdout
    listener = Listener(process.stdout.fileno())
    with ended(process.pid):
        until(lambda: b"starting Ray on this machine" in listener.heard, seconds=_STARTS_WITHIN_S)
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
    said = listener.all()
    assert code != 0
    assert "interrupted; run it again to continue where it stopped" in said
    assert not answers(f"http://127.0.0.1:{variables['HTTP_PORT']}/healthz")


def _with_training(variables: dict[str, str], **more: str) -> subprocess.Popen:
    command = [*_COMMAND, "--train"]
    return subprocess.Popen(command, cwd=ROOT, env=variables | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
