"""A job that a notebook starts on this machine has the notebook's profile, and its failure is the notebook's."""

import pytest

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
