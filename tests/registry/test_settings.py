"""Settings from the environment, and what is said of wrong ones."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import requests
from botocore.utils import get_environ_proxies

import registry.settings as settings_module
from registry.settings import ROOT, SettingsError, load_settings


def test_the_environment_sets_and_an_argument_wins(monkeypatch):
    monkeypatch.setenv("DATA_URI", "s3://bucket/xrays")
    assert load_settings().data_uri == "s3://bucket/xrays"
    assert load_settings(data_uri="synthetic:60").data_uri == "synthetic:60"
    assert load_settings(data_uri=None).data_uri == "s3://bucket/xrays"


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("MODEL_NAME", "")
    assert load_settings().model_name == "pneumonia"


def test_a_port_that_is_none_is_named_with_its_value(monkeypatch):
    monkeypatch.setenv("HTTP_PORT", "80800")
    with pytest.raises(SettingsError, match=r"HTTP_PORT is '80800'.*65535"):
        load_settings()


def test_cloud_without_a_tracking_server_says_which_variable_is_missing(monkeypatch):
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "cloud")
    monkeypatch.delenv("MLFLOW_TRACKING_URI_CLOUD", raising=False)
    with pytest.raises(SettingsError, match=r"MLFLOW_TRACKING_URI_CLOUD is not set; .* for example http://"):
        load_settings()


def test_cloud_and_local_each_use_their_own_tracking_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here:5000")
    monkeypatch.setenv("MLFLOW_TRACKING_URI_CLOUD", "http://mlflow.hm-mlflow.internal")
    assert load_settings().tracking_uri == "http://here:5000"
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "cloud")
    assert load_settings().tracking_uri == "http://mlflow.hm-mlflow.internal"


@pytest.mark.parametrize(
    ("name", "written", "means"),
    [
        ("DATA_URI", "~/x-rays", "{home}/x-rays"),
        ("STATE_URI", "~/state", "{home}/state"),
        ("MLFLOW_TRACKING_URI", "sqlite:///~/mlflow.db", "sqlite:///{home}/mlflow.db"),
        ("API_KEYS_FILE", "~/keys", "{home}/keys"),
        ("DATA_URI", "s3://bucket/~/x-rays", "s3://bucket/~/x-rays"),
        ("MLFLOW_TRACKING_URI", "http://host/~me", "http://host/~me"),
    ],
)
def test_a_path_that_begins_in_the_home_folder_is_written_out_wherever_it_is_set(
    name, written, means, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(name, written)
    assert str(getattr(load_settings(), name.lower())) == means.format(home=tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MODEL_NAME", "pneumonia/2", "MODEL_NAME is 'pneumonia/2': it takes up to 64 letters, digits, "),
        ("MODEL_NAME", "a" * 65, "it takes up to 64 letters, digits, "),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4317/v1/traces",
            "it takes an address with its scheme and without a",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "it takes an address with its scheme"),
    ],
)
def test_a_name_or_an_address_of_another_form_is_told_in_words_and_not_by_a_pattern(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as told:
        load_settings()
    assert says in str(told.value)
    assert "pattern" not in str(told.value)


@pytest.fixture
def dotenv(tmp_path, monkeypatch):
    """Write a `.env` and read it."""
    monkeypatch.setattr(settings_module, "ROOT", tmp_path)

    def dotenv(content: bytes):
        (tmp_path / ".env").write_bytes(content)
        with monkeypatch.context() as patch:
            for name in ("DATA_URI", "HTTP_PORT"):
                patch.setenv(name, "")
                patch.delenv(name)
            return load_settings()

    return dotenv


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("HTTP_PORT=8180\nDATA_URI=../tórax\n".encode("latin-1"), r"\.env, line 2, is not written in UTF-8"),
        ("DATA_URI=x\n".encode("utf-16"), r"\.env, line 1, is not written in UTF-8"),
        ("DATA_URI=x\n".encode("utf-16-le"), r"\.env holds zero bytes, as UTF-16 does"),
        (b'HTTP_PORT=8180\nDATA_URI="/x\nMODEL_NAME=a\n', r"\.env, line 2, at 'DATA_URI', is not NAME=value; a quote"),
        (b"API_KEYS='clinic:secret", r"\.env, line 1, at 'API_KEYS', is not NAME=value; a quote"),
        (
            b'HTTP_PORT=8180\n$env:API_KEYS="secret"',
            r"\.env, line 2, at '\$env:API_KEYS', is not NAME=value: that is no",
        ),
        ("\u200bDATA_URI=/secret".encode(), r"\.env, line 1, at '\\u200bDATA_URI', is not NAME=value: that is no"),
        (b"--- \nDATA_URI=/x", r"\.env, line 1, at '---', is not NAME=value"),
    ],
)
def test_a_dotenv_that_cannot_be_understood_is_named_in_a_line(dotenv, content, says):
    with pytest.raises(SettingsError, match=says) as caught:
        dotenv(content)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"), [("APROVAL", "APPROVAL"), ("DATA_URL", "DATA_URI"), ("API_KEY", "API_KEYS")]
)
def test_a_setting_that_is_nearly_one_is_named_with_the_one_that_may_be_meant(dotenv, written, meant):
    with pytest.raises(SettingsError, match=f"line 2, at '{written}': there is no such setting; {meant} may be meant"):
        dotenv(f"# ours\n{written}=required".encode())


def test_every_variable_of_the_example_and_of_libraries_is_taken_in_a_dotenv(dotenv, monkeypatch):
    monkeypatch.setattr(settings_module, "load_dotenv", lambda **_: None)  # which would set all of them
    names = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(names) > 30
    libraries = [
        "HTTP_PROXY",
        "DATA_URI_2",
        "MLFLOW_TRACKING_AUTH",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_TOKEN",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ]
    dotenv("\n".join(f"{name}=" for name in [*names, *libraries]).encode())


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI_CLOUD"])
def test_a_tracking_address_that_is_none_is_refused_with_examples(monkeypatch, name):
    monkeypatch.setenv(name, "nonsense")
    with pytest.raises(SettingsError, match=f"{name} is 'nonsense'.*sqlite:///mlflow.db"):
        load_settings()


@pytest.mark.parametrize(
    "content",
    [
        "DATA_URI=/tórax\n",
        "\ufeffDATA_URI=/tórax\r\nHTTP_PORT=8180\r\n",
        "# x\n\nexport DATA_URI='/tórax'",
        'DATA_URI="/tórax" # y',
        "DATA_URI=/tórax\nNAME_OF_THE_ENVIRONMENT\nother.name=1",
    ],
)
def test_a_dotenv_as_editors_write_it_is_understood(dotenv, content):
    assert dotenv(content.encode()).data_uri == "/tórax"


def test_a_dotenv_that_may_not_be_read_is_named(dotenv, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(SettingsError, match=r"\.env cannot be read: Permission denied; change its permissions"):
        dotenv(b"")


def test_a_virtual_environment_of_that_name_is_no_dotenv(tmp_path, monkeypatch):
    monkeypatch.setattr(settings_module, "ROOT", tmp_path)
    (tmp_path / ".env").mkdir()
    load_settings()


_PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        (None, None),
        ("", "intranet.example"),
        ("intranet.example", ""),
        ("10.0.0.9,", "::1"),
        ("*", ""),
        ("a.example, *", ""),
    ],
)
def test_no_library_and_no_child_asks_this_machine_through_a_proxy(lower, upper, monkeypatch):
    for name in _PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name, value in (("no_proxy", lower), ("NO_PROXY", upper)):
        monkeypatch.setenv(name, value or "")  # so that the end of the test restores it
        if value is None:
            monkeypatch.delenv(name)
    load_settings()
    for host in ("localhost:5000", "127.0.0.1:9000", "[::1]:8080", "0.0.0.0:8265"):
        url = f"http://{host}/health"
        assert requests.utils.get_environ_proxies(url) == {}, host
        if "[" not in host:  # botocore compares the brackets too, which httpx cannot read in NO_PROXY
            assert get_environ_proxies(url) == {}, host
        with httpx.Client() as client:
            assert client._transport_for_url(httpx.URL(url)) is client._transport, host
    program = "import urllib.request as u; print(u.proxy_bypass('127.0.0.1:80'))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() in ("True", "1")


def test_what_the_environment_excepts_from_the_proxy_stays_excepted_and_nothing_else_is(monkeypatch):
    for name in _PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "intranet.example, localhost")
    for _ in range(2):  # a second reading adds nothing
        load_settings()
    assert os.environ["no_proxy"].count("127.0.0.1") == os.environ["no_proxy"].count("localhost") == 1
    assert requests.utils.get_environ_proxies("http://intranet.example/") == {}
    assert requests.utils.get_environ_proxies("http://elsewhere.example/")["http"] == "http://127.0.0.1:9"
    monkeypatch.setenv("no_proxy", "*")
    load_settings()
    assert os.environ["no_proxy"] == "*"


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("HTTP_PORT", " ", "http_port", 8080),
        ("SERVE_MAX_REPLICAS", "\t", "serve_max_replicas", None),
        ("STATE_URI", " s3://bucket/state ", "state_uri", "s3://bucket/state"),
        ("RAY_ADDRESS", "  ", "ray_address", None),
        ("RAY_ADDRESS", " auto\r", "ray_address", "auto"),
        ("LOG_FORMAT", "json ", "log_format", "json"),
        ("MLFLOW_TRACKING_URI", " http://host:5000 ", "mlflow_tracking_uri", "http://host:5000"),
        ("MODEL_NAME", "lungs\n", "model_name", "lungs"),
        ("HTTP_HOST", " 127.0.0.1 ", "http_host", "127.0.0.1"),
        ("HTTP_HOST", "[::1]", "http_host", "::1"),
        ("HTTP_HOST", "fe80::1%eth0", "http_host", "fe80::1%eth0"),
        ("HTTP_HOST", "my-host.example", "http_host", "my-host.example"),
    ],
)
def test_space_around_a_value_means_nothing_and_a_blank_one_is_absent(monkeypatch, name, value, field, expected):
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), field) == expected


@pytest.mark.parametrize(
    "value", ["127.0.0.1:80", "http://localhost", "localhost:8080", "[::1]:80", "a b", "[]", ":::", "1:2", "::1%"]
)
def test_a_host_with_more_than_the_host_is_refused_with_what_it_takes(monkeypatch, value):
    monkeypatch.setenv("HTTP_HOST", value)
    with pytest.raises(
        SettingsError, match=r"HTTP_HOST is '.*': it takes a host alone, such as 127\.0\.0\.1"
    ) as raised:
        load_settings()
    assert "the port is HTTP_PORT" in str(raised.value)


@pytest.mark.parametrize("name", ["WEBAPP_URI", "OTEL_EXPORTER_OTLP_ENDPOINT"])
@pytest.mark.parametrize("value", ["http://h:99999", "http://h:port", "http://[::1", "http://h:0"])
def test_an_address_of_a_server_that_is_none_is_refused_with_an_example(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"{name} is '.*': it takes (the|an) address .*, such as http://"):
        load_settings()


@pytest.mark.parametrize("value", ["h:8080", "http://", "http://h h", "http://h/?x=1", "ftp://h", "//h"])
def test_the_webapp_s_address_has_a_scheme_and_a_host_and_no_more_than_a_path(monkeypatch, value):
    monkeypatch.setenv("WEBAPP_URI", value)
    with pytest.raises(SettingsError, match=r"WEBAPP_URI is '.*': it takes the address of a server"):
        load_settings()
    for taken in ("http://h", "https://h.example:8443/xray/", "http://[::1]:8080"):
        monkeypatch.setenv("WEBAPP_URI", taken)
        assert load_settings().webapp_uri == taken


def test_a_password_in_an_address_that_is_none_is_not_shown(monkeypatch):
    for name in ("WEBAPP_URI", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.setenv(name, "http://clinic:secret@h:99999")
    with pytest.raises(SettingsError, match=r"http://clinic:\*\*\*@h:99999") as raised:
        load_settings()
    assert "secret" not in str(raised.value)
