"""Settings from the environment, and what is said of wrong ones."""

import pytest

from registry.settings import SettingsError, load_settings


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
    monkeypatch.setenv("MLFLOW_TRACKING_URI_CLOUD", "http://mlflow.hm-mlflow.local")
    assert load_settings().tracking_uri == "http://here:5000"
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "cloud")
    assert load_settings().tracking_uri == "http://mlflow.hm-mlflow.local"


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
