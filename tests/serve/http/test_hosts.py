"""Which `Host` and `Origin` a server on loopback takes, and one that is reached by name."""

import pytest
from fastapi.testclient import TestClient

from registry.settings import Settings, SettingsError
from serve.api import create_app
from serve.http.hosts import AllowedHosts, allowed_hosts
from serve.production.model import Holder


def asked(settings: Settings, method: str = "GET", path: str = "/docs", **headers: str):
    """The answer of a server without a model, asked with headers."""
    client = TestClient(create_app(Holder(), settings=settings, hosts=allowed_hosts(settings)))
    return client.request(method, path, headers=headers)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST.:8080", "127.9.9.9", "app.localhost:3000", "localhost:"],
)
def test_loopback_is_asked_by_its_own_names_on_any_port(settings, host):
    assert asked(settings, host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "10.0.0.5:8080",
        "x@localhost",
        "localhost:80:80",
        "",
    ],
)
def test_loopback_asked_by_a_foreign_name_answers_a_problem(settings, host):
    answer = asked(settings, host=host)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "foreign-host"
    assert "ALLOWED_HOSTS" in answer.json()["detail"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_may_name_the_server_as_they_please(settings, path):
    assert asked(settings, path=path, host="10.0.0.5:8080").json().get("code") != "foreign-host"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1", "x"])
@pytest.mark.parametrize("path", ["/predict", "/", "/page/result", "/predictions/x/feedback"])
def test_a_page_elsewhere_cannot_post_to_loopback(settings, origin, path):
    answer = asked(settings, "POST", path, host="127.0.0.1:8080", origin=origin)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign-origin")


@pytest.mark.parametrize("headers", [{}, {"origin": "http://127.0.0.1:8080"}])
def test_our_own_page_and_programs_may_post(settings, headers):
    answer = asked(settings, "POST", "/predict", host="127.0.0.1:8080", **headers)
    assert answer.json()["code"] == "no-model"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:80", "http://localhost"),
        ("localhost", "http://localhost:80"),
        ("localhost:443", "https://localhost"),
        ("LOCALHOST:8080", "HTTP://localhost:8080"),
    ],
)
def test_the_port_of_a_scheme_may_be_written_or_left_out(settings, host, origin):
    assert asked(settings, "POST", "/predict", host=host, origin=origin).json()["code"] == "no-model"
    assert asked(settings, "POST", "/predict", host="localhost:443", origin="http://localhost").status_code == 403


def test_a_request_that_names_two_hosts_is_told_so(settings):
    client = TestClient(create_app(Holder(), settings=settings, hosts=allowed_hosts(settings)))
    told = client.get("/model", headers=[("host", "localhost"), ("host", "evil.example")]).json()
    assert (told["code"], told["detail"]) == (
        "foreign-host",
        "The request names its host more than once; send one Host header.",
    )


def test_each_origin_counts_and_none_that_has_no_host(settings):
    anywhere = settings.model_copy(update={"http_host": "0.0.0.0"})
    client = TestClient(create_app(Holder(), settings=anywhere, hosts=None))
    for origins in (["http://a.example", "http://b.example"], ["http://"], ["x://a.example"]):
        headers = [("host", "" if origins == ["http://"] else "a.example"), *(("origin", origin) for origin in origins)]
        assert client.post("/predict", headers=headers).json()["code"] == "foreign-origin"


@pytest.mark.parametrize(
    ("given", "taken", "refused"),
    [
        ("[fd00::5]", ["[fd00::5]", "[fd00::5]:8080", "[FD00:0:0:0:0:0:0:5]"], ["[fd00::6]", "f"]),
        ("[fd00::5]:8080", ["[fd00::5]:8080"], ["[fd00::5]", "[fd00::5]:80"]),
        ("[fd00::5]:*", ["[fd00::5]:8080", "[fd00::5]"], ["fd00.example"]),
    ],
)
def test_an_ipv6_address_may_be_named_in_a_setting(settings, given, taken, refused):
    behind = settings.model_copy(update={"allowed_hosts": given})
    assert {asked(behind, host=host).status_code for host in taken} == {200}
    assert {asked(behind, host=host).status_code for host in refused} == {403}


def test_a_page_elsewhere_may_follow_a_link_to_ours(settings):
    assert asked(settings, host="localhost:8080", origin="https://evil.example").status_code == 200


def test_a_proxy_in_front_is_named_in_a_setting(settings):
    behind = settings.model_copy(update={"allowed_hosts": "xray.example.org, *.clinic.example:8443"})
    for host in ("xray.example.org", "xray.example.org:443", "a.clinic.example:8443", "localhost"):
        assert asked(behind, host=host).status_code == 200
    for host in ("a.clinic.example", "clinic.example:8443", "yxray.example.org"):
        assert asked(behind, host=host).status_code == 403
    answer = asked(behind, "POST", "/predict", host="127.0.0.1:8080", origin="https://xray.example.org")
    assert answer.json()["code"] == "no-model"


def test_a_browser_leaves_out_the_port_that_its_scheme_has(settings):
    behind = settings.model_copy(update={"allowed_hosts": "xray.example.org:443"})
    assert [asked(behind, host=f"xray.example.org{port}").status_code for port in ("", ":443", ":8080")] == [
        200,
        200,
        403,
    ]


def test_a_page_without_tls_is_not_the_one_that_is_named_with_its_port(settings):
    behind = settings.model_copy(update={"allowed_hosts": "xray.example.org:443"})
    codes = {
        scheme: asked(behind, "POST", "/predict", host="127.0.0.1:8080", origin=f"{scheme}://xray.example.org").json()
        for scheme in ("http", "https")
    }
    assert (codes["http"]["code"], codes["https"]["code"]) == ("foreign-origin", "no-model")


def test_a_server_beyond_loopback_checks_names_where_they_are_set_and_takes_addresses(settings):
    anywhere = settings.model_copy(update={"http_host": "0.0.0.0"})
    assert allowed_hosts(anywhere) is None
    named = anywhere.model_copy(update={"allowed_hosts": "webapp:8080"})
    assert allowed_hosts(named) == AllowedHosts(patterns=("webapp:8080",), own="0.0.0.0", addresses=True)
    for host in ("webapp:8080", "10.0.0.5:8080", "[fd00::5]:8080", "localhost:8080"):
        assert asked(named, host=host).status_code == 200
    assert asked(named, host="evil.example").status_code == 403
    assert asked(anywhere, host="evil.example").status_code == 200
    assert asked(anywhere, "POST", "/predict", host="a.example", origin="http://b.example").status_code == 403
    assert allowed_hosts(settings.model_copy(update={"allowed_hosts": "*"})) is None


@pytest.mark.parametrize("given", ["http://a.example", "a b", "a.example/x", "a:b"])
def test_what_is_no_host_is_refused_with_examples(settings, given):
    with pytest.raises(SettingsError, match=r"ALLOWED_HOSTS holds .*such as xray\.example\.org"):
        allowed_hosts(settings.model_copy(update={"allowed_hosts": given}))
