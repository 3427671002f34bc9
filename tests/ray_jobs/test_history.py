"""The job that prints, checks and repairs the history of Production."""

import sys

import pytest

from ray_jobs import history as job
from registry.model.versions import client, version_of
from registry.production.promotion import promote
from registry.settings import Settings


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the job on a registry of two promotions by a person; returns exit code, output and errors."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    client(settings).create_registered_model("pneumonia")
    for number in (1, 2):
        client(settings).create_model_version("pneumonia", source="s3://nowhere/model")
        named = settings.model_copy(update={"promoted_by": "Ana Souza"})
        promote(named, version_of(settings, number), why=f"reason {number}")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["history", *arguments])
        code = 0
        try:
            job.main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_it_prints_every_change_with_who_and_why_and_says_that_all_is_well(run) -> None:
    code, out, _ = run("--verify")
    assert code == 0
    assert [line.split("  ")[-1] for line in out.splitlines()[:2]] == ["Ana Souza: reason 1", "Ana Souza: reason 2"]
    assert "2 records are whole" in out


def test_it_fails_and_names_a_missing_record_and_repairs_it(run, settings: Settings) -> None:
    client(settings).delete_registered_model_tag("pneumonia", "promotion.000001")
    code, _, err = run("--verify")
    assert code == 1
    assert "record 1 is missing in MLflow" in err
    code, out, _ = run("--repair")
    assert code == 0
    assert "repaired: record 1 is missing in MLflow" in out
    assert run("--verify")[0] == 0


def test_it_fails_where_the_alias_does_not_obey_and_puts_it_back(run, settings: Settings) -> None:
    client(settings).delete_registered_model_alias("pneumonia", "production")
    code, _, err = run("--verify")
    assert code == 1
    assert "alias production was deleted outside of the history, which says version 2" in err
    assert run("--repair")[0] == 0
    assert run("--verify")[0] == 0
