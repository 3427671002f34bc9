"""The settings of a stack: what is taken, and what is said of what is wrong or missing."""

from pathlib import Path

import pulumi
import pytest

from infra.local.settings import read_local_settings
from infra.options import Options
from infra.settings import SettingError, read_secret
from tests.infra.support.recorded import configure, record


@pytest.mark.parametrize("workers", ["-1", "65"])
def test_a_number_of_workers_that_cannot_be_is_refused_with_what_can_and_an_example(workers: str):
    message = f"workers is {workers}; it takes 0 to 64, for example: pulumi config set workers 4"
    configure(workers=workers)
    with pytest.raises(SettingError) as error:
        read_local_settings()
    assert str(error.value) == message
    with pytest.raises(pulumi.RunError) as refused:
        record(workers=workers)
    assert str(refused.value) == message


@pytest.mark.parametrize(("workers", "number"), [("0", 0), ("64", 64)])
def test_the_fewest_and_the_most_workers_are_taken(workers: str, number: int):
    configure(workers=workers)
    assert read_local_settings().workers == number


def test_the_settings_say_what_is_wanted():
    configure(jupyter="true", login="true", keepData="false")
    settings = read_local_settings()
    assert (settings.optional, settings.options.login, settings.keep_data) == ({"jupyter"}, True, False)
    configure()
    settings = read_local_settings()
    assert (settings.optional, settings.options, settings.keep_data) == (frozenset(), Options(), True)


def test_a_secret_that_was_not_made_is_named_with_the_stack_and_the_command_that_makes_it():
    message = "rayToken is not set in local; `make stack` makes every secret."
    configure(rayToken=None)
    with pytest.raises(SettingError) as error:
        read_secret("ray-token")
    assert str(error.value) == message
    with pytest.raises(pulumi.RunError) as refused:
        record(rayToken=None)
    assert str(refused.value) == message


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    configure()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_local_settings().commit == "unknown"
