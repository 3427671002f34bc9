"""The notebook with its cloud profile: S3 simulated, a real MLflow, and a real Ray that takes jobs by a token."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from ray_jobs.dataset.s3_source import S3Source
from ray_jobs.dataset.sources import open_source
from ray_jobs.upload import upload
from registry.production import production
from registry.settings import ROOT, Settings
from tests.e2e.test_notebook import NOTEBOOK, executed, kernel  # noqa: F401  a fixture
from tests.infra.support.calls import RecordingAws, refused
from tests.infra.support.graph import recorded
from tests.infra.support.roles import BUCKETS, PERSON, as_role, aws_with_buckets
from tests.serve.support.fault_proxy import MlflowServer
from tests.serve.support.waiting import free_port

DATA, STATE = (f"s3://{BUCKETS[name]}" for name in ("data", "state"))
CLUSTER = """
import sys
import ray
ray.init(address="local", num_cpus=2, include_dashboard=True, dashboard_port=int(sys.argv[1]), log_to_driver=False)
print("up", flush=True)
sys.stdin.read()
"""
SUBMIT = """
from ray_jobs.runtime.submit import submit
from registry.settings import load_settings
submit(load_settings(), "ray_jobs.train", "--trials", "0")
"""


@dataclass(frozen=True)
class Cloud:
    """What stands, by the addresses that the notebook is given."""

    aws: RecordingAws
    mlflow: str
    jobs: str
    token: Path

    @property
    def settings(self) -> Settings:
        """What the notebook's own `load_settings` finds."""
        return Settings(
            execution_environment="cloud",
            mlflow_tracking_uri_cloud=self.mlflow,
            data_uri=DATA,
            state_uri=STATE,
            ray_address=self.jobs,
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Buckets with X-rays, a tracking server with a bucket, and a Ray that takes jobs from who has its token."""
    folder = tmp_path_factory.mktemp("cloud")
    token = folder / "ray-token"
    token.write_text("the-token-of-this-cluster")
    token.chmod(0o600)
    port = free_port()
    with aws_with_buckets() as aws:
        with as_role(PERSON, aws):
            upload(open_source("synthetic:90"), S3Source.from_uri(DATA))
        with as_role("mlflow-task", aws):
            server = MlflowServer(folder, artifacts=f"s3://{BUCKETS['artefacts']}")
        job = {
            "DATA_URI": DATA,
            "STATE_URI": STATE,
            "MLFLOW_TRACKING_URI": server.url,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",  # Ray's own minute is little for its jobs API on a busy machine
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        with as_role("ray", aws, **job):
            command = [sys.executable, "-c", CLUSTER, str(port)]
            cluster = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert cluster.stdout.readline() == "up\n"
            yield Cloud(aws=aws, mlflow=server.url, jobs=f"http://127.0.0.1:{port}", token=token)
        finally:
            cluster.communicate()  # its input ends, and it with it
            server.kill()


@contextmanager
def in_the_notebook(cloud: Cloud) -> Iterator[None]:
    profile = {
        "EXECUTION_ENVIRONMENT": "cloud",
        "MLFLOW_TRACKING_URI_CLOUD": cloud.mlflow,
        "RAY_ADDRESS": cloud.jobs,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(cloud.token),
        "DATA_URI": DATA,
    }
    with as_role("notebook", cloud.aws, **profile):
        yield


def test_every_cell_of_the_notebook_works_against_the_cluster_and_mlflow(cloud: Cloud, kernel: str):  # noqa: F811
    with in_the_notebook(cloud):
        shown = executed(nbformat.read(NOTEBOOK, as_version=4), kernel)
    bearer = {"Authorization": f"Bearer {cloud.token.read_text()}"}
    asked = urllib.request.Request(f"{cloud.jobs}/api/jobs/", headers=bearer)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        (job,) = (entry for entry in json.load(answer) if entry["type"] == "SUBMISSION")
    assert f"{job['submission_id']} runs on {cloud.jobs}" in shown
    assert (job["entrypoint"], job["status"]) == ("python -m ray_jobs.train", "SUCCEEDED")
    with as_role(PERSON, cloud.aws):
        version = production(cloud.settings)
    assert version
    assert version.version == 1
    assert f"{version} · threshold" in shown
    assert f"MLflow: {cloud.mlflow}" in shown
    assert sum(line.startswith(("NORMAL/", "PNEUMONIA/")) for line in shown.splitlines()) >= 6


def test_a_job_that_fails_on_the_cluster_fails_here_and_has_said_why(cloud: Cloud):
    with in_the_notebook(cloud):  # a process of its own: Ray reads the token's settings once, as it is imported
        done = subprocess.run([sys.executable, "-c", SUBMIT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "argument --trials" in done.stdout
    assert f"--trials 0' ended as FAILED on {cloud.jobs}" in done.stderr
    assert "JobError" in done.stderr


def test_without_the_token_the_cluster_takes_no_job(cloud: Cloud):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cloud.jobs}/api/jobs/", timeout=60)


def test_what_the_work_asked_of_aws_is_allowed_to_those_who_did_it(cloud: Cloud):
    callers = {"notebook": "notebook", "mlflow-task": "mlflow-task", "ray-head-task": "ray", "ray-worker-task": "ray"}
    for role, caller in callers.items():
        policy = json.loads(recorded("prod").of("iam.RolePolicy")[role]["policy"])["Statement"]
        assert cloud.aws.of(caller)
        assert refused(policy, cloud.aws.of(caller)) == []
