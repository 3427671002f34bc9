"""API keys: who must have one, which are taken, and what stays open."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from registry.settings import Settings, SettingsError, load_settings
from serve.api import create_app
from serve.http.keys import OWN, read_keys
from serve.lifecycle.session import main
from serve.production.model import Holder

CLINIC, WARD = "clinic-0123456789abcdef", "ward-0123456789abcdef"


def settings_with(keys: str | None = None, *, host: str = "127.0.0.1", file: Path | None = None) -> Settings:
    return Settings(api_keys=keys, http_host=host, api_keys_file=file)


@pytest.fixture
def client(holder: Holder, settings: Settings) -> Iterator[TestClient]:
    keys = read_keys(settings_with(f"clinic:{CLINIC}, ward:{WARD}"))
    with TestClient(create_app(holder, settings=settings, keys=keys)) as client:
        yield client


PROTECTED = [
    ("POST", "/predict"),
    ("POST", "/explain"),
    ("GET", "/model"),
    ("GET", "/model/card"),
    ("GET", "/example"),
    ("GET", "/metrics"),
    ("GET", "/feedback"),
    ("GET", "/feedback.csv"),
    ("POST", "/predictions/a.0/feedback"),
    ("POST", "/"),
    ("POST", "/page/result"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_key_that_is_taken_there_is_no_answer(client: TestClient, method: str, path: str) -> None:
    tries = [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {CLINIC}"}]
    tries += [{"Authorization": f"Bearer {CLINIC}x"}, {"X-API-Key": "clinic"}, {"X-API-Key": "\u00e9"}]
    for headers in tries:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        answer = client.request(method, path, headers=encoded)
        assert (answer.status_code, answer.json()["code"]) == (401, "no-key")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert CLINIC not in answer.text


@pytest.mark.parametrize("headers", [{"Authorization": f"bearer {CLINIC}"}, {"X-API-Key": WARD}])
def test_each_key_opens_everything_in_either_header(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in PROTECTED:
        assert client.request(method, path, headers=headers).status_code != 401


def test_probes_the_page_and_its_files_stay_open(client: TestClient) -> None:
    for path in ("/", "/card", "/healthz", "/readyz", "/docs", "/openapi.json", "/static/page.js"):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200


def test_every_registered_route_is_either_open_or_in_the_list_that_this_test_knows(client: TestClient) -> None:
    described = {
        (method.upper(), path.replace("{prediction_id}", "a.0"))
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    assert described - set(PROTECTED) == {("GET", "/healthz"), ("GET", "/readyz")}


def test_on_loopback_no_key_is_needed_and_elsewhere_keys_or_an_explicit_off_are() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert read_keys(settings_with(host=host)) is None
    for host in ("0.0.0.0", "::", "192.168.1.4", "example"):
        with pytest.raises(SettingsError, match="API_KEYS=off"):
            read_keys(settings_with(host=host))
        assert read_keys(settings_with("off", host=host)) is None
        assert read_keys(settings_with(f"clinic:{CLINIC}", host=host)) is not None


def test_keys_come_from_a_file_one_a_line_with_names_and_notes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# who may ask\nclinic:{CLINIC}\n\nward: {WARD}\n")
    keys = read_keys(settings_with(file=file))
    assert keys
    assert (keys.holder(CLINIC), keys.holder(WARD), keys.holder("x")) == ("clinic", "ward", None)
    extended, own = keys.with_own()
    assert (extended.holder(own), extended.holder(WARD), keys.holder(own)) == (OWN, "ward", None)


@pytest.mark.parametrize("text", ["clinic:short", "nameless-0123456789abcdef", f"a:{CLINIC},a:{WARD}", f":{CLINIC}"])
def test_a_key_that_is_too_short_nameless_or_twice_named_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_keys(settings_with(text))
    assert "0123456789" not in str(raised.value)
    assert "short" not in str(raised.value)


def test_a_note_in_the_file_may_have_commas(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# given to the clinic, and to the ward\nclinic:{CLINIC}, ward:{WARD}\n")
    keys = read_keys(settings_with(file=file))
    assert keys
    assert (keys.holder(CLINIC), keys.holder(WARD)) == ("clinic", "ward")


def test_a_file_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nobody\n")
    for name in ("missing", "empty"):
        with pytest.raises(SettingsError, match="API_KEYS_FILE"):
            read_keys(settings_with(file=tmp_path / name))


def test_settings_do_not_show_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", f"clinic:{CLINIC}")
    assert CLINIC not in repr(load_settings())


def test_the_command_refuses_to_listen_elsewhere_without_keys(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEYS", raising=False)
    monkeypatch.setattr("serve.lifecycle.session.set_up", lambda *_: None)  # the log of this process is the tests'
    assert main(["--host", "0.0.0.0"]) == 1
    assert "there is no API key" in caplog.text
