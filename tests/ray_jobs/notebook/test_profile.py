"""What a profile means: this machine, a notebook of the stack, or a laptop that knows the stack's balancer."""

import os
import socket
from pathlib import Path

import pytest

from ray_jobs.notebook import profile
from ray_jobs.notebook.profile import ask_for_names, profile_settings
from registry.settings import SettingsError

BALANCER = {"alb_dns_name": "localhost", "bucket": "hm-mlflow-data"}
STACK = {
    "MLFLOW_TRACKING_URI_CLOUD": "http://mlflow.hm-mlflow.internal:5000",
    "RAY_ADDRESS": "http://ray.hm-mlflow.internal:8265",
    "DATA_URI": "s3://hm-mlflow-data",
}


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*STACK, "WEBAPP_URI", "API_KEY", "API_KEYS", "EXECUTION_ENVIRONMENT"):
        monkeypatch.setenv(name, "")
    for name in profile._TRUST:
        monkeypatch.setenv(name, "")  # so that what a profile sets ends with the test
        monkeypatch.delenv(name)
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    monkeypatch.setattr(profile, "_AUTHORITY", tmp_path / "authority.pem")


def test_a_laptop_finds_everything_by_the_balancer_and_the_bucket():
    found = profile_settings("cloud", **BALANCER)
    assert found.execution_environment == "cloud"
    assert found.tracking_uri == "https://mlflow.hm-mlflow.internal"
    assert (found.ray_address, found.webapp_url) == ("https://ray.hm-mlflow.internal", "https://app.hm-mlflow.internal")
    assert found.data_uri == "s3://hm-mlflow-data"


def test_a_domain_of_one_s_own_is_that_of_its_mlflow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI_CLOUD", "http://mlflow.xrays.example.org:8000")
    found = profile_settings("cloud", alb_dns_name="localhost", bucket="s3://hm-mlflow-data")
    assert found.ray_address == "http://ray.xrays.example.org:8000"
    assert found.webapp_url == "http://app.xrays.example.org:8000"
    assert found.data_uri == "s3://hm-mlflow-data"


def test_a_notebook_of_the_stack_needs_neither(monkeypatch: pytest.MonkeyPatch):
    for name, value in STACK.items():
        monkeypatch.setenv(name, value)
    found = profile_settings("cloud")
    assert [found.tracking_uri, found.ray_address, found.data_uri] == list(STACK.values())


@pytest.mark.parametrize("name", STACK)
def test_one_that_lacks_an_address_stops(name: str, monkeypatch: pytest.MonkeyPatch):
    for variable, value in STACK.items():
        monkeypatch.setenv(variable, "" if variable == name else value)
    lacking = "DATASOURCE_BUCKET_NAME" if name == "DATA_URI" else "ALB_DNS_NAME"
    with pytest.raises(SettingsError, match=rf"^PROFILE is 'cloud', but {lacking} is empty: [^.]*\.$"):
        profile_settings("cloud")


def test_generated_pictures_are_not_what_the_cloud_means(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATA_URI", "synthetic:600")
    with pytest.raises(SettingsError, match="DATASOURCE_BUCKET_NAME is empty"):
        profile_settings("cloud", alb_dns_name="localhost")


def test_another_profile_is_refused():
    with pytest.raises(SettingsError, match=r"EXECUTION_ENVIRONMENT is 'moon': .*'local' or 'cloud'"):
        profile_settings("moon")


def test_only_the_stack_s_names_are_asked_of_the_balancer(monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(profile, "_resolve", lambda host, *rest, **named: asked.append(host))
    ask_for_names("balancer.example.com", ["mlflow.hm-mlflow.internal"])
    for host in ("MLflow.hm-mlflow.internal", b"mlflow.hm-mlflow.internal", "example.org", None):
        socket.getaddrinfo(host, 443)
    assert asked == ["balancer.example.com", "balancer.example.com", "example.org", None]


def test_the_key_and_the_authority_that_make_token_leaves_are_used(monkeypatch: pytest.MonkeyPatch):
    profile._AUTHORITY.write_text("an authority")
    monkeypatch.setenv("API_KEY", "a-key-of-the-page")
    monkeypatch.setenv("SSL_CERT_FILE", "/one/of/ones/own.pem")
    found = profile_settings("cloud", **BALANCER)
    assert found.api_keys
    assert found.api_keys.get_secret_value() == "notebook:a-key-of-the-page"
    assert os.environ["REQUESTS_CA_BUNDLE"] == os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] == str(profile._AUTHORITY)
    assert os.environ["SSL_CERT_FILE"] == "/one/of/ones/own.pem"
