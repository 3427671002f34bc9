"""What a person is told who gave a wrong setting: one message that names it, exit code 1, no traceback."""

import sys

import pytest

from ray_jobs import extract_features, predict, promote, rollback, train
from registry.settings import Settings


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Run a job's main with arguments; returns what it says when it stops."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    monkeypatch.setenv("RAY_ADDRESS", "")

    def run(job, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [job.__name__, *arguments])
        with pytest.raises(SystemExit) as stopped:
            job.main()
        # A text is printed by Python, and the exit code is 1 then.
        assert isinstance(stopped.value.code, str), f"exit code {stopped.value.code}"
        assert "\n" not in stopped.value.code
        return stopped.value.code

    return run


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("/nowhere/at/all", "folder '/nowhere/at/all' does not exist"),
        ("synthetic:7", "COUNT must be a whole number from 40"),
        ("synthetic:many", "COUNT must be a whole number from 40"),
        ("gopher://host/xrays", "scheme 'gopher' is not known"),
        ("kaggle:nobody", "kaggle:"),
        ("", "DATA_URI is empty"),
        ("  ", "DATA_URI is empty"),
    ],
)
def test_data_that_is_none(run, uri, says):
    message = run(train, "--data", uri)
    assert message.startswith("ray_jobs.train stopped: ")
    assert says in message


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HTTP_PORT", "99999", "HTTP_PORT is '99999'"),
        ("MODEL_NAME", "a b", "MODEL_NAME is 'a b'"),
        ("EXECUTION_ENVIRONMENT", "moon", "EXECUTION_ENVIRONMENT is 'moon'"),
        ("STATE_URI", "ftp://host/state", "STATE_URI is 'ftp://host/state'"),
        ("STATE_URI", "s3://", "STATE_URI is 's3://'"),
        ("STATE_URI", "/proc/no/such/place", "/proc/no"),
        ("MLFLOW_TRACKING_URI", "gopher://host", "gopher"),
        ("MLFLOW_TRACKING_URI", "sqlite:////proc/no/mlflow.db", "/proc/no"),
    ],
)
def test_a_setting_that_is_none(run, monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    assert says in run(train, "--data", "synthetic:60")


def test_a_folder_without_labels(run, tmp_path):
    (tmp_path / "xrays").mkdir()
    assert "NORMAL" in run(extract_features, "--data", str(tmp_path / "xrays"))


def test_predicting_with_nothing_in_production(run, tmp_path):
    message = run(predict, "--data", "synthetic:60", "--out", str(tmp_path / "out.parquet"))
    assert "No version of pneumonia is in Production; train one with ray_jobs.train" in message


def test_promoting_a_version_that_is_not_there(run):
    assert "pneumonia" in run(promote, "7")


def test_rolling_back_with_nothing_in_production(run):
    assert "nothing to roll back" in run(rollback)


@pytest.mark.parametrize("arguments", [["--trials", "0"], ["--trials", "x"], ["--seed", "-1"], ["--seed", str(2**32)]])
def test_an_argument_outside_what_it_takes_is_refused_before_any_work(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "--data", "synthetic:60", *arguments])
    with pytest.raises(SystemExit) as stopped:
        train.main()
    assert stopped.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err
