"""What the command line of a promotion takes, and what it refuses before anything is done."""

import argparse
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from ray_jobs import promote as job
from registry.model.versions import client, set_tags, version_of
from registry.production.promotion import history, promote
from registry.settings import Settings


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("90d", timedelta(90)),
    ],
)
def test_a_time_is_a_number_and_its_unit(text: str, lasts: timedelta) -> None:
    assert job.duration(text) == lasts


@pytest.mark.parametrize("text", ["", "24", "0h", "-1h", "91d", "1.5h", "1w", "999999999d"])
def test_another_time_is_told_with_what_it_takes(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no time from 1s to 90d; examples are 30m, 24h and 7d"):
        job.duration(text)


def test_a_share_is_a_percentage_up_to_half() -> None:
    assert [job.share(text) for text in ("0.1%", "10%", "50%")] == [0.001, 0.1, 0.5]
    for text in ("0%", "0.05%", "51%", "10", "0.1", "100%", "-5%", "a%"):
        with pytest.raises(argparse.ArgumentTypeError, match=r"no share from 0\.1% to 50%; an example is 10%"):
            job.share(text)


@pytest.fixture
def registry(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Two versions, the first in Production, where jobs look for them."""
    client(settings).create_registered_model("pneumonia")
    for _ in range(2):
        client(settings).create_model_version("pneumonia", source="s3://nowhere/model", tags={"digest": "1" * 64})
    promote(settings, version_of(settings, 1), why="first")
    set_tags(settings, version_of(settings, 2), {"gate": "kept back: held-out AUC is low"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    return settings


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["2", "--end"], 2, "--end needs --why TEXT"),
        (["2", "--shadow", "1h", "--for", "2h"], 2, "--for says how long a canary lasts"),
        (["2", "--end", "--why", "x"], 1, "pneumonia version 2 is neither in shadow nor in canary"),
        (["2", "--why", " "], 2, "is empty; say why in a few words"),
        (["2"], 1, "version 2 was kept back: held-out AUC is low. With --why TEXT it goes on all the same"),
        (["2", "--canary", "10%"], 1, "version 2 was kept back: held-out AUC is low."),
        (["3", "--canary", "10%"], 1, "has no version 3"),
        (["2", "--canary", "10%", "--shadow", "1h"], 2, "not allowed with"),
        (["2", "--canary", "10"], 2, "an example is 10%"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_recorded(
    registry: Settings, monkeypatch, capsys, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["promote", *arguments])
    with pytest.raises(SystemExit) as ended:
        job.main()
    assert ended.value.code == code
    assert told in capsys.readouterr().err
    assert len(history(registry)) == 1
