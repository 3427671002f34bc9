"""A job that a notebook starts, here or on a cluster: its profile, its arguments, and its failure."""

import subprocess
from pathlib import Path

import pytest
from ray.job_submission import JobStatus

from ray_jobs.runtime.submit import JobError, _looked_at, _taken, submit
from registry.settings import Settings


def test_a_job_here_runs_under_the_profile_of_its_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "cloud")
    check = "import os; assert os.environ['EXECUTION_ENVIRONMENT'] == 'local'"
    submit(Settings(execution_environment="local", ray_address=None), "timeit", "-n1", "-r1", check)
    monkeypatch.setenv("EXECUTION_ENVIRONMENT", "local")
    cloud = Settings(execution_environment="cloud", mlflow_tracking_uri_cloud="http://there", ray_address=None)
    with pytest.raises(JobError, match="timeit ended with code 1"):
        submit(cloud, "timeit", "-n1", "-r1", check)


def test_a_cluster_s_shell_reads_the_arguments_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "my x-rays; $(exit 7)"
    sent: list[str] = []
    monkeypatch.setattr(
        "ray_jobs.runtime.submit._on_cluster", lambda _settings, _address, entrypoint: sent.append(entrypoint)
    )
    submit(Settings(ray_address="http://127.0.0.1:8265"), "ray_jobs.train", "--data", str(folder), "it's")
    # Ray gives an entrypoint to a shell.
    read = subprocess.run(["sh", "-c", f"printf '%s\\n' {sent[0]}"], capture_output=True, text=True, check=True)
    assert read.stdout.splitlines() == ["python", "-m", "ray_jobs.train", "--data", str(folder), "it's"]


class Starting:
    """A cluster that has just started: it refuses the first jobs as Ray's head does, or for another reason."""

    def __init__(self, refusals: int, why: str = "No available agent to submit job, please try again later.") -> None:
        self.refusals, self.why = refusals, f"Request failed with status code 500: {why}."

    def submit_job(self, **_job: object) -> str:
        self.refusals -= 1
        if self.refusals >= 0:
            raise RuntimeError(self.why)
        return "raysubmit_1"


def test_a_head_that_has_just_started_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ray_jobs.runtime.submit._POLL_S", 0)
    assert _taken(Starting(2), "http://there:8265", "true", {}) == "raysubmit_1"
    with pytest.raises(JobError, match=r"does not take the job: .* no such runtime environment"):
        _taken(Starting(1, "no such runtime environment"), "http://there:8265", "true", {})
    monkeypatch.setattr("ray_jobs.runtime.submit._PATIENCE_S", 0)
    with pytest.raises(JobError, match=r"http://there:8265 takes no job yet: .* Try again in a minute"):
        _taken(Starting(9), "http://there:8265", "true", {})


class Stumbling:
    """A cluster whose answers about a job fail at first, as a balancer's do while the head starts again."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def get_job_status(self, _name: str) -> JobStatus:
        self.failures -= 1
        if self.failures >= 0:
            raise RuntimeError("Request failed with status code 502: Bad Gateway.")
        return JobStatus.SUCCEEDED

    def get_job_logs(self, _name: str) -> str:
        return "done"


def test_a_job_is_followed_on_where_the_cluster_does_not_answer_for_a_moment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ray_jobs.runtime.submit._POLL_S", 0)
    assert _looked_at(Stumbling(3), "http://there:8265", "raysubmit_1") == (JobStatus.SUCCEEDED, "done")
    monkeypatch.setattr("ray_jobs.runtime.submit._PATIENCE_S", 0)
    with pytest.raises(JobError, match=r"http://there:8265 does not say any more how raysubmit_1 is: .*502"):
        _looked_at(Stumbling(9), "http://there:8265", "raysubmit_1")


def test_the_name_that_goes_on_record_goes_along():
    check = "import os; assert os.environ['PROMOTED_BY'] == 'Ana Souza'"
    submit(Settings(ray_address=None, promoted_by="Ana Souza"), "timeit", "-n1", "-r1", check)
