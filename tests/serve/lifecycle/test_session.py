"""What the starting process asks of its own servers, and what it tells the person who started it."""

import json
import logging
import socket
import tempfile
from pathlib import Path

import pytest

from registry.settings import Settings
from serve.api import create_app
from serve.lifecycle import notices, session
from serve.lifecycle.launch import StartError, check_port, plasma_directory, url_of
from serve.lifecycle.self_check import ask
from serve.logs import set_up
from serve.production.model import Holder
from tests.serve.support.live import running
from tests.serve.support.waiting import free_port


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_the_server_is_asked_straight_whatever_proxy_the_environment_names(
    holder: Holder, settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with running(create_app(holder, settings=settings)) as url:
        assert ask(f"{url}/healthz") == (200, {"status": "alive"})
        status, body = ask(f"{url}/nowhere") or (0, {})
        assert (status, body["code"]) == (404, "not-found")
        assert ask(f"{url}/static/page.js") == (200, {})


@pytest.mark.parametrize(
    ("state", "why"), [("{file}", "it is no folder"), ("ftp://x/y", "it takes a folder or s3://bucket/prefix")]
)
def test_a_state_that_cannot_be_is_told_before_ray_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, why: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_URI", state.format(file=tmp_path / "file"))
    monkeypatch.setenv("LOG_FORMAT", "text")
    monkeypatch.setattr(session, "_serve", lambda *_: pytest.fail("it starts"))
    assert session.main(["--port", str(free_port()), "--mlflow-port", str(free_port())]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("STATE_URI is ")
    assert why in line


def test_where_nothing_listens_or_speaks_http_there_is_no_answer() -> None:
    assert ask(f"http://127.0.0.1:{free_port()}/") is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("localhost", "http://localhost:81"),
        ("::1", "http://[::1]:81"),
        ("::", "http://[::1]:81"),
        ("fe80::2", "http://[fe80::2]:81"),
    ],
)
def test_an_address_has_brackets_where_it_is_of_ipv6(host: str, url: str) -> None:
    assert url_of(Settings(http_host=host, http_port=81)) == url


def test_ray_is_told_where_its_objects_go_where_shared_memory_is_too_small_for_them(tmp_path: Path) -> None:
    assert plasma_directory(tmp_path) is None
    for full in (Path("/proc"), tmp_path / "none"):  # of the first, nothing is free, as of the 64 MiB of a container
        assert plasma_directory(full) == tempfile.gettempdir()


def test_a_port_of_ipv6_that_is_taken_is_named_with_brackets() -> None:
    with socket.socket(socket.AF_INET6) as taken:
        try:
            taken.bind(("::1", 0))
        except OSError as error:
            pytest.skip(reason=f"this machine has no IPv6 loopback: {error}")
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"on \[::1\]:{port} "):
            check_port("::1", port, purpose="The page", variable="HTTP_PORT")


def test_a_host_that_is_not_of_this_machine_is_named_and_no_port_is_blamed() -> None:
    with pytest.raises(StartError, match=r"192\.0\.2\.77:81 .*HTTP_HOST, must be an address of this machine"):
        check_port("192.0.2.77", 81, purpose="The page", variable="HTTP_PORT")


def test_the_last_port_that_there_is_has_another_beside_it() -> None:
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 65_535))
        except OSError:
            pytest.skip(reason="the port 65535 is in use here")
        taken.listen()
        with pytest.raises(StartError, match="HTTP_PORT=65534 make serve"):
            check_port("127.0.0.1", 65_535, purpose="The page", variable="HTTP_PORT")


def test_the_addresses_stand_out_between_two_rules_and_end_with_how_to_stop(capsys: pytest.CaptureFixture[str]) -> None:
    notices.serving("text", page="http://[::1]:81", mlflow="http://127.0.0.1:82", model="pneumonia version 3 answers.")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[-1] == ""
    assert lines[1] == lines[-2]
    assert set(lines[1]) == {"─"}
    assert lines[2:6] == [
        "  Page    http://[::1]:81",
        "  API     http://[::1]:81/docs",
        "  MLflow  http://127.0.0.1:82",
        "  Model   pneumonia version 3 answers.",
    ]
    assert lines[-3] == "  Ctrl-C stops it."


def test_as_json_every_notice_is_one_line_of_json(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    set_up("json")
    notices.starting("json", training=False)
    notices.serving("json", page="http://[::1]:81", mlflow="http://127.0.0.1:82", model="pneumonia version 3 answers.")
    notices.stopping("json")
    notices.failed("json", "The port is taken.\nStop what uses it.")
    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert len(lines) == 4
    assert (lines[1]["page"], lines[1]["mlflow"]) == ("http://[::1]:81", "http://127.0.0.1:82")
    assert lines[3]["message"] == "The port is taken.\nStop what uses it."
