"""Two sides beside each other: what differs between them is found."""

from pathlib import Path

import pytest

from benchmarks import before
from benchmarks.processes import NotStartedError

SPEC = "CODE_VERSION = {version}\n"
EXTRACT = "import numpy as np\n\n\ndef extract(data):\n    return np.array({values}) * len(data)\n"


def side(folder: Path, values: list[float], version: int = 1) -> Path:
    """A project that describes bytes by numbers in proportion to their length."""
    package = folder / "features"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "extract.py").write_text(EXTRACT.format(values=values))
    (package / "spec.py").write_text(SPEC.format(version=version))
    jobs = folder / "ray_jobs"
    jobs.mkdir()
    (jobs / "train.py").touch()
    return folder


def test_each_side_describes_with_its_own_code_and_the_largest_difference_is_found(tmp_path: Path):
    sides = {"now": side(tmp_path / "a", [1.0, 2.0]), "before": side(tmp_path / "b", [1.0, 2.25], version=2)}
    found = before.features(sides, [b"12", b"1234"], tmp_path, rounds=3)
    assert found.series["difference"] == {"now": [1.0]}  # a quarter of four bytes
    assert found.series["code_version"] == {"now": [1.0], "before": [2.0]}
    assert {name: len(rounds) for name, rounds in found.series["features"].items()} == {"now": 3, "before": 3}
    assert found.missing == {}


def test_another_number_of_features_is_said(tmp_path: Path):
    sides = {"now": side(tmp_path / "a", [1.0, 2.0]), "before": side(tmp_path / "b", [1.0])}
    found = before.features(sides, [b"12"], tmp_path, rounds=1)
    assert found.missing == {"difference": "2 features instead of 1"}


def test_without_an_earlier_commit_today_is_measured_and_the_difference_is_said_to_be_missing(tmp_path: Path):
    found = before.features({"now": side(tmp_path / "a", [1.0])}, [b"12"], tmp_path, rounds=2)
    assert len(found.series["features"]["now"]) == 2
    assert found.missing.keys() == {"difference"}


def test_code_that_breaks_is_an_error(tmp_path: Path):
    broken = side(tmp_path / "a", [1.0])
    (broken / "features" / "extract.py").write_text("raise ValueError\n")
    with pytest.raises(RuntimeError, match="ended"):
        before.features({"now": broken}, [b"12"], tmp_path, rounds=1)


def test_the_start_of_a_job_is_timed_on_each_side(tmp_path: Path):
    sides = {"now": side(tmp_path / "a", [1.0]), "before": side(tmp_path / "b", [1.0])}
    (sides["before"] / "ray_jobs" / "train.py").write_text("import time\ntime.sleep(0.5)\n")
    [found] = before.start(sides, rounds=2).series.values()
    assert [late - soon > 0.3 for soon, late in zip(*found.values(), strict=True)] == [True, True]


def test_an_earlier_commit_that_does_not_run_is_left_out_and_today_is_an_error(tmp_path: Path):
    sides = {"now": side(tmp_path / "a", [1.0]), "before": side(tmp_path / "b", [1.0])}
    (sides["before"] / "ray_jobs" / "train.py").write_text("raise ValueError('no Ray')\n")
    found = before.start(sides, rounds=2)
    assert {name: len(rounds) for name, rounds in found.series["start"].items()} == {"now": 2}
    assert found.missing == {"before": "that commit does not run: ValueError: no Ray"}
    with pytest.raises(NotStartedError, match="no Ray"):
        before.start({"now": sides["before"]}, rounds=1)
