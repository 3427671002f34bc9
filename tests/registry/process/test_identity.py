"""Whose name goes on record with a change of Production."""

import getpass
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from registry.process.identity import person, whoever
from registry.settings import Settings


@pytest.fixture(autouse=True)
def _nobody_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_JOB_CONFIG_JSON_ENV_VAR", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", raising=False)


_LATER = "2099-01-01T00:00:00Z"


@contextmanager
def _answering(credentials: dict[str, str]) -> Iterator[str]:
    """The address of what a container asks for the credentials of its role."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(credentials).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_name_that_was_given_comes_before_the_submitter_and_that_before_who_is_logged_in(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "rui")
    assert whoever(settings) == "rui"
    job = {"metadata": {"job_submission_id": "raysubmit_1", "submitted_by": "ana"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert whoever(settings) == "ana"
    assert whoever(settings.model_copy(update={"promoted_by": "Ana Souza"})) == "Ana Souza"


def test_a_container_s_account_is_nobody_s_name_and_aws_is_asked_for_the_caller(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, aws_server: str
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "app")
    assert whoever(settings).startswith("nobody by name")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": aws_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    assert whoever(settings).startswith("arn:aws:sts::")
    assert person(settings) == whoever(settings)


def test_a_role_that_aws_gives_to_a_container_goes_on_record_but_is_no_person(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, aws_server: str
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "app")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    with _answering({"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": _LATER}) as url:
        for name, value in {
            "AWS_ENDPOINT_URL": aws_server,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        assert whoever(settings).startswith("arn:aws:sts::")
        assert person(settings) == ""
