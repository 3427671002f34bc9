"""A job that a notebook starts, here or on a cluster: its profile, its arguments, and its failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from ray_jobs.runtime.submit import JobError, submit
from registry.settings import Settings


def test_a_job_here_runs_under_the_profile_of_its_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "cloud")
    check = "import os; assert os.environ['EXECUTION_ENVIRONMENT'] == 'local'"
    submit(Settings(execution_environment="local", ray_address=None), "timeit", "-n1", "-r1", check)
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "local")
    cloud = Settings(execution_environment="cloud", mlflow_tracking_uri_cloud="http://there", ray_address=None)
    with pytest.raises(JobError, match="timeit ended with code 1"):
        submit(cloud, "timeit", "-n1", "-r1", check)


@pytest.fixture(scope="module")
def jobs_api() -> Iterator[str]:
    """The jobs API of a real cluster: a head of its own, since only a head with a dashboard takes jobs."""
    context = ray.init(address="local", num_cpus=1, include_dashboard=True, dashboard_port=0, log_to_driver=False)
    yield f"http://{context.dashboard_url}"
    ray.shutdown()


def test_a_job_on_a_cluster_gets_its_arguments_as_they_are_and_its_failure_is_told(
    jobs_api: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    folder = tmp_path / "my x-rays; $(exit 7)"
    folder.mkdir()
    (folder / "a.txt").touch()
    there = Settings(ray_address=jobs_api)
    submit(there, "zipfile", "-c", str(tmp_path / "it's.zip"), str(folder))
    submit(there, "zipfile", "-l", str(tmp_path / "it's.zip"))
    shown = capfd.readouterr().out
    assert f"runs on {jobs_api}" in shown
    assert "my x-rays; $(exit 7)/a.txt" in shown
    with pytest.raises(JobError, match=r"no such file\.zip.* ended as FAILED on http"):
        submit(there, "zipfile", "-l", "no such file.zip")
