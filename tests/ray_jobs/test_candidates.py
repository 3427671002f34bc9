"""The job that lists what waits for a person."""

import sys

import pytest

from ray_jobs import candidates as job
from registry.model.versions import client, version_of
from registry.production.approval import Passed, wait_for_approval
from registry.production.promotion import promote
from registry.settings import Settings


def test_it_lists_what_waits_with_the_reasons_and_the_next_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    monkeypatch.setattr(sys, "argv", ["candidates"])
    job.main()
    assert capsys.readouterr().out == "No version of pneumonia waits.\n"
    client(settings).create_registered_model("pneumonia")
    for number in (1, 2, 3):
        client(settings).create_model_version("pneumonia", source="s3://nowhere/model")
        against = {1: None, 2: None, 3: 1}[number]
        wait_for_approval(settings, version_of(settings, number), Passed(why=f"reason {number}", against=against))
    promote(settings, version_of(settings, 1), why="the first")  # its tag says still that it waits
    job.main()
    overtaken, approve = capsys.readouterr().out.split("\n\n")
    assert overtaken.startswith("waits       pneumonia version 2, run ")
    assert "gate        passed: reason 2\novertaken   it was compared with nothing, and version 1 is in" in overtaken
    assert "gate        passed: reason 3\napprove     python -m ray_jobs.promote 3" in approve
