"""Every message of docs/troubleshooting.md is made to happen, and is what the page says that people see."""

import errno
import re
import socket
import threading
import urllib.request
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from markdown_it import MarkdownIt

from infra.local.doctor import services
from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.sources import open_source
from ray_jobs.runtime.cluster import reach_cluster, sole_owner
from ray_jobs.tracking.runs import experiment_of
from registry import settings as of_the_project
from registry.model.versions import client
from registry.process.reach import reach_ray, reach_tracking
from registry.settings import ROOT, Settings, load_settings
from registry.state import open_state, space_for
from serve.api import create_app
from serve.http.hosts import allowed_hosts
from serve.lifecycle.launch import check_port
from serve.production.model import Holder, Served
from tests.behaviour.not_xrays import generated
from tests.serve.support.models import GeneratedXrays, served

PAGES = (ROOT / "docs/troubleshooting.md", ROOT / "docs/troubleshooting.pt-BR.md")


def messages(page: Path) -> list[str]:
    """What people see, by the page."""
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    return [token.content.strip() for token in tokens if token.type == "fence" and token.info == "text"]


def matches(message: str, said: str) -> bool:
    """Whether a message of the page, in which … stands for anything, is what was said."""
    pattern = ".*".join(re.escape(part) for part in message.split("…"))
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def said(action: Callable[[], object]) -> str:
    """The message of the error that an action ends with."""
    with pytest.raises(Exception) as ended:  # noqa: PT011  which one is what the test is about
        action()
    return str(ended.value)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A small model that knows generated X-rays."""
    return served(GeneratedXrays.generated(patients=24), tmp_path_factory.mktemp("model") / "bundle", version=7)


@pytest.fixture
def nobody() -> int:
    """A port on which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return free.getsockname()[1]


def title(settings: Settings, holder: Holder, **request: object) -> str:
    """The title of the problem that a prediction ends with."""
    app = create_app(holder, settings=settings, hosts=allowed_hosts(settings))
    with TestClient(app, base_url="http://localhost:8080", raise_server_exceptions=False) as page:
        return page.post("/predict", **request).json()["title"]


def all_that_is_said(tmp_path: Path, settings: Settings, model: Holder, nobody: int, monkeypatch) -> list[str]:
    """One message after another, in the page's order; those of a bucket come from their own tests."""
    away = f"http://127.0.0.1:{nobody}"
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    (tmp_path / "pictures" / "cats" / "a.png").write_bytes(generated("hand", 1)[0])
    (tmp_path / "file").touch()
    (tmp_path / ".env").write_bytes("PROMOTED_BY=José\n".encode("latin-1"))

    def deleted() -> None:
        client(settings).delete_experiment(experiment_of(settings, client(settings)))
        experiment_of(settings, client(settings))

    def twice() -> None:
        with sole_owner("train-1", settings), sole_owner("train-1", settings):
            pass

    def full() -> None:
        with space_for("/data/features.parquet"):
            raise OSError(errno.ENOSPC, "No space left on device")

    def in_use() -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            check_port("127.0.0.1", taken.getsockname()[1], purpose="The page", variable="HTTP_PORT")

    def dotenv() -> None:
        monkeypatch.setattr(of_the_project, "ROOT", tmp_path)
        load_settings()

    place = open_state(str(tmp_path / "state"))
    return [
        said(lambda: reach_tracking(away)),
        said(lambda: open_source(str(tmp_path / "none"))),
        said(lambda: build_manifest(open_source(str(tmp_path / "pictures")), filesystem=place.filesystem, base="d")),
        said(lambda: open_state(str(tmp_path / "file"))),
        title(settings, Holder(), content=b"x", headers={"content-type": "image/png"}),
        said(deleted),
        said(lambda: reach_ray(f"127.0.0.1:{nobody}")),
        said(lambda: reach_cluster("auto")),
        said(lambda: urllib.request.urlopen(refusing_server())),
        said(in_use),
        said(twice),
        said(full),
        title(settings, model, content=generated("hand", 1)[0], headers={"content-type": "image/png"}),
        title(settings, model, content=b"no picture", headers={"content-type": "image/png"}),
        title(settings, model, content=b"", headers={"host": "xray.example.org"}),
        said(dotenv),
        *not_well("Up 2 minutes (unhealthy)", "Restarting (1) 4 seconds ago", "Exited (137) 3 minutes ago"),
    ]


def not_well(*statuses: str) -> list[str]:
    """What the doctor says of containers. That Docker tells so of them is seen in containers/test_doctor.py."""
    return [finding.what for status in statuses for finding in services("local", {"hm-mlflow-webapp": status})]


def refusing_server() -> str:
    """A jobs API without the token, as Ray answers: 401. That Ray does so is seen in test_cloud.py."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)

    def answer_once() -> None:
        with server:
            server.handle_request()

    threading.Thread(target=answer_once, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


# Of a bucket: tests/ray_jobs/dataset/test_s3_source.py, on a simulated S3 that asks for rights.
ELSEWHERE = ("bucket '…' of … does not exist at …", "access to s3://… at … is denied")


def test_every_message_of_the_page_happens_and_reads_so(tmp_path, settings, model, nobody, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    happened = all_that_is_said(tmp_path, settings, Holder(served=model), nobody, monkeypatch)
    expected = [message for message in messages(PAGES[0]) if not message.startswith(ELSEWHERE)]
    assert len(expected) == len(happened)
    assert [one for one in expected if not any(matches(one, text) for text in happened)] == []
    assert [text for text in happened if not any(matches(one, text) for one in expected)] == []


def test_both_languages_show_the_same_messages():
    assert messages(PAGES[0]) == messages(PAGES[1])


def test_a_message_that_reads_otherwise_is_found():
    assert matches("RAY_ADDRESS is '…', …", "RAY_ADDRESS is 'x', which does not answer")
    assert not matches("RAY_ADDRESS is '…', …", "MLFLOW is 'x', which does not answer")
