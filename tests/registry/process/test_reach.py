"""Addresses where nobody answers, or the wrong one: told at once, with the name of the setting."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from registry.process import reach
from registry.process.reach import UnreachableError, reach_jobs_api, reach_ray, reach_s3, reach_tracking
from registry.settings import SettingsError, load_settings


@contextmanager
def listener(*, answer: bytes = b"") -> Iterator[int]:
    """The port of somebody who takes connections and answers each with the same bytes, or with silence."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                kept.append(connection)
                if answer:
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def nobody() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(reach, "ANSWER_S", 0.3)


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a small HTTP server: 200 at /health, 404 elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_nobody_there_is_told_with_the_variable_for_each_of_them(nobody, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{nobody}")
    where = rf"'(http://|postgresql://u@)?127.0.0.1:{nobody}[^']*', which does not answer: nobody listens there; "
    for variable, ask in {
        "MLFLOW_TRACKING_URI": lambda: reach_tracking(f"http://127.0.0.1:{nobody}"),
        "MLFLOW_TRACKING_URI_CLOUD": lambda: reach_tracking(
            f"postgresql://u@127.0.0.1:{nobody}/m", variable="MLFLOW_TRACKING_URI_CLOUD"
        ),
        "RAY_ADDRESS": lambda: reach_ray(f"127.0.0.1:{nobody}"),
        "AWS_ENDPOINT_URL_S3": lambda: reach_s3("s3://bucket/x", variable="DATA_URI"),
    }.items():
        with pytest.raises(UnreachableError, match=f"^{variable} is {where}"):
            ask()
    with pytest.raises(UnreachableError, match=rf"^RAY_ADDRESS is 'http://127.0.0.1:{nobody}', .*nobody listens"):
        reach_jobs_api(f"http://127.0.0.1:{nobody}")
    with pytest.raises(UnreachableError, match=r"DATA_URI is 's3://bucket/x', which is kept there"):
        reach_s3("s3://bucket/x", variable="DATA_URI")


def test_somebody_who_says_nothing_is_not_waited_for():
    with listener() as port:
        with pytest.raises(UnreachableError, match="takes connections and says nothing for"):
            reach_tracking(f"http://127.0.0.1:{port}")
        with pytest.raises(UnreachableError, match="takes connections there that is not Ray"):
            reach_ray(f"127.0.0.1:{port}")
        with pytest.raises(UnreachableError, match="takes connections and does not answer as Postgres does"):
            reach_tracking(f"postgresql+psycopg2://u@127.0.0.1:{port}/m")
    with listener(answer=b"N") as port:
        reach_tracking(f"postgresql+psycopg2://u@127.0.0.1:{port}/m")


@pytest.mark.parametrize(
    "ask", [lambda: reach_tracking("http://nowhere.invalid:5000"), lambda: reach_ray("nowhere.invalid:1")]
)
def test_a_name_that_nobody_knows_is_told_as_that(ask):
    with pytest.raises(UnreachableError, match="the name of its host is not known here"):
        ask()


def test_http_and_https_in_each_other_s_place(server):
    with pytest.raises(UnreachableError, match=r"does not speak https .*; write http:// in front"):
        reach_tracking(f"https://127.0.0.1:{server}")
    with (
        listener(answer=b"\x15\x03\x01\x00\x02\x02\x46") as port,
        pytest.raises(UnreachableError, match="write https://"),
    ):
        reach_tracking(f"http://127.0.0.1:{port}")
    told = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    with listener(answer=told) as port, pytest.raises(UnreachableError, match="it speaks https; write https://"):
        reach_tracking(f"http://127.0.0.1:{port}")


def test_a_balancer_without_anybody_behind_is_away():
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    with listener(answer=answer) as port, pytest.raises(UnreachableError, match="it says 503 Service Unavailable"):
        reach_tracking(f"http://127.0.0.1:{port}")


def test_any_other_answer_is_a_sign_of_life_and_a_dead_proxy_is_not_asked_for_loopback(server, nobody, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{nobody}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    load_settings()
    reach_tracking(f"http://127.0.0.1:{server}")
    reach_tracking(f"http://localhost:{server}/below/a/prefix")
    reach_jobs_api(f"http://127.0.0.1:{server}")
    reach_tracking("sqlite:////no/server/is/asked.db")


@pytest.fixture
def through(monkeypatch):
    """Call it with the proxy that the environment names; loopback is not excepted."""
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "")
    return lambda proxy: monkeypatch.setenv("all_proxy", proxy)


@pytest.mark.parametrize("proxy", ["socks5h://127.0.0.1:9", "socks4://u:p@10.0.0.1:1080", "foo://x", "127.0.0.1:1"])
def test_a_proxy_of_any_kind_is_not_asked_for_loopback(proxy, server, through):
    through(proxy)
    load_settings()
    reach_tracking(f"http://127.0.0.1:{server}/for/{proxy.partition(':')[0]}")


def test_a_proxy_that_cannot_be_asked_is_told_and_not_taken_for_the_address(nobody, through):
    for proxy, why in {
        f"http://u:secret@127.0.0.1:{nobody}": rf"'http://u:\*\*\*@127.0.0.1:{nobody}', .*nobody listens there",
        f"127.0.0.1:{nobody}": rf"'http://127.0.0.1:{nobody}', .*nobody listens there",
        "socks5h://127.0.0.1:9": r"'socks5h://127.0.0.1:9', .*has to be http:// or https://",
        "foo://x": r"'foo://x', .*has to be http:// or https://",
    }.items():
        through(proxy)
        with pytest.raises(UnreachableError, match=rf"^MLFLOW_TRACKING_URI is .*through the proxy {why} .*NO_PROXY"):
            reach_tracking("https://mlflow.example.invalid")


def test_a_store_is_asked_through_the_proxy_for_datasets_and_without_it_for_the_state_as_the_libraries_do(
    server, nobody, monkeypatch, through
):
    through(f"http://127.0.0.1:{nobody}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server}/without")
    reach_s3("s3://bucket/x", variable="STATE_URI")
    with pytest.raises(UnreachableError, match="through the proxy"):
        reach_s3("s3://bucket/x", variable="DATA_URI")


@pytest.mark.parametrize("address", ["http://[::1", "http://u:secret@[::1:5000", "http://127.0.0.1:99999"])
def test_what_is_no_address_of_a_server_is_told_without_its_password(address):
    with pytest.raises(SettingsError, match=r"^MLFLOW_TRACKING_URI is .*which is not an address") as refusal:
        reach_tracking(address)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("address", ["host", "host:", "host:x", "10.0.0.5:99999", ":6379", "::1:6379", "ray://"])
def test_what_is_no_address_of_a_ray_is_refused_as_it_was_written_with_examples(address):
    with pytest.raises(SettingsError, match=rf"RAY_ADDRESS is '{address}', which is not an address.*takes HOST:PORT"):
        reach_ray(address)


@pytest.mark.parametrize("address", ["127.0.0.1:5000", "localhost:5000", "mlflow.example:80/", "[::1]:5000"])
def test_a_tracking_server_without_a_scheme_is_told_to_have_one(address):
    with pytest.raises(SettingsError, match=r"^MLFLOW_TRACKING_URI is .*, which has no scheme; write http:// in front"):
        reach_tracking(address)


def test_the_scheme_of_a_store_may_be_in_capitals(nobody, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"HTTP://127.0.0.1:{nobody}")
    with pytest.raises(UnreachableError, match=r"AWS_ENDPOINT_URL_S3 is 'HTTP://.*nobody listens there"):
        reach_s3("s3://bucket/x", variable="STATE_URI")
