"""The notebook with its cloud profile: S3 simulated, a real MLflow, webapp and Ray, which takes jobs by a token."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from notebooks.render import execute
from ray_jobs.dataset.s3_source import S3Source
from ray_jobs.dataset.sources import open_source
from ray_jobs.upload import upload
from registry.production.current import production
from registry.production.promotion import history
from registry.settings import ROOT, Settings
from tests.e2e.test_notebook import kernel, live_webapp, notebook, pictures, shown  # noqa: F401  a fixture
from tests.infra.support.calls import RecordingAws, refused
from tests.infra.support.graph import recorded
from tests.infra.support.roles import BUCKETS, PERSON, as_role, aws_with_buckets
from tests.serve.support.fault_proxy import MlflowServer
from tests.serve.support.waiting import free_port

DATA, STATE = (f"s3://{BUCKETS[name]}" for name in ("data", "state"))
# Ray tells a job the address of whichever Ray it finds on the machine, unless this one's own folder says which it is.
CLUSTER = """
import sys, tempfile
import ray
from ray._private.utils import write_ray_address
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    port = int(sys.argv[1])
    told = ray.init(
        address="local", num_cpus=2, dashboard_port=port, include_dashboard=True, log_to_driver=False, _temp_dir=folder
    )
    write_ray_address(told.address_info["gcs_address"], folder)
    print("up", flush=True)
    sys.stdin.read()
    ray.shutdown()
"""
SUBMIT = """
from ray_jobs.runtime.submit import submit
from registry.settings import load_settings
submit(load_settings(execution_environment="cloud"), "ray_jobs.train", "--trials", "0")
"""


@dataclass(frozen=True)
class Cloud:
    """What stands, by the addresses that the notebook is given."""

    aws: RecordingAws
    mlflow: str
    jobs: str
    webapp: str
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
        with as_role("mlflow-task", aws, MLFLOW_SERVER_ALLOWED_HOSTS="mlflow.hm-mlflow.internal:*,127.0.0.1:*"):
            server = MlflowServer(folder, artifacts=f"s3://{BUCKETS['artefacts']}")
        with ExitStack() as running:
            running.callback(server.kill)
            place = {"STATE_URI": STATE, "MLFLOW_TRACKING_URI": server.url}
            with as_role("webapp", aws):
                webapp = running.enter_context(live_webapp(folder, **place))
            job = {
                **place,
                "DATA_URI": DATA,
                "WEBAPP_URI": webapp,
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN_PATH": str(token),
                # Ray's own minute is little for its jobs API on a busy machine.
                "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            }
            with as_role("ray", aws, **job):
                command = [sys.executable, "-c", CLUSTER, str(port)]
                cluster = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            running.callback(cluster.communicate)  # its input ends, and it with it
            assert cluster.stdout.readline() == "up\n"
            yield Cloud(aws=aws, mlflow=server.url, jobs=f"http://127.0.0.1:{port}", webapp=webapp, token=token)


@contextmanager
def in_the_notebook(cloud: Cloud, folder: Path, **addresses: str) -> Iterator[None]:
    profile = {
        "MLFLOW_TRACKING_URI_CLOUD": cloud.mlflow,
        "RAY_ADDRESS": cloud.jobs,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(cloud.token),
        "STATE_URI": str(folder / "state"),
        "DATA_URI": "",
        **addresses,
    }
    with as_role("notebook", cloud.aws, **profile):
        yield


def test_every_cell_works_on_a_laptop_that_knows_the_balancer_and_the_bucket(
    cloud: Cloud,
    kernel: str,  # noqa: F811
    tmp_path: Path,
):
    # No name server knows these names; what stands for the balancer is this machine.
    named = {
        variable: address.replace("127.0.0.1", f"{name}.hm-mlflow.internal")
        for variable, address, name in (
            ("MLFLOW_TRACKING_URI_CLOUD", cloud.mlflow, "mlflow"),
            ("RAY_ADDRESS", cloud.jobs, "ray"),
            ("WEBAPP_URI", cloud.webapp, "app"),
        )
    }
    with in_the_notebook(cloud, tmp_path, **named):
        chosen = {"PROFILE": "cloud", "ALB_DNS_NAME": "localhost", "DATASOURCE_BUCKET_NAME": BUCKETS["data"]}
        done = execute(notebook(**chosen, TRIALS=4, YOUR_NAME="Ana Souza"), kernel)
    told = shown(done)
    bearer = {"Authorization": f"Bearer {cloud.token.read_text()}"}
    asked = urllib.request.Request(f"{cloud.jobs}/api/jobs/", headers=bearer)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        jobs = [entry for entry in json.load(answer) if entry["type"] == "SUBMISSION"]
    assert all(f"{job['submission_id']} runs on {named['RAY_ADDRESS']}" in told for job in jobs)
    assert {(job["entrypoint"], job["status"]) for job in jobs} == {
        (f"python -m ray_jobs.extract_features --data {DATA}", "SUCCEEDED"),
        (f"python -m ray_jobs.train --data {DATA} --trials 4 --require-approval", "SUCCEEDED"),
        ("python -m ray_jobs.promote 1", "SUCCEEDED"),
    }
    with as_role(PERSON, cloud.aws):
        version = production(cloud.settings)
        (change,) = history(cloud.settings)
    assert version
    assert (version.version, change.who) == (1, "Ana Souza")
    assert f"{version} · threshold" in told
    assert f"MLflow: {named['MLFLOW_TRACKING_URI_CLOUD']}" in told
    assert pictures(done) == 6
    assert "No evidence" not in told
    assert "No prediction" not in told
    assert "'version': 1" in told


def test_a_job_that_fails_on_the_cluster_fails_here_and_has_said_why(cloud: Cloud, tmp_path: Path):
    with in_the_notebook(
        cloud, tmp_path
    ):  # a process of its own: Ray reads the token's settings once, as it is imported
        done = subprocess.run([sys.executable, "-c", SUBMIT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "argument --trials" in done.stdout
    assert f"--trials 0' ended as FAILED on {cloud.jobs}" in done.stderr
    assert "JobError" in done.stderr


def test_without_the_token_the_cluster_takes_no_job(cloud: Cloud):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cloud.jobs}/api/jobs/", timeout=60)


def test_what_the_work_asked_of_aws_is_allowed_to_those_who_did_it(cloud: Cloud):
    callers = {
        "webapp-task": "webapp",
        "notebook": "notebook",
        "mlflow-task": "mlflow-task",
        "ray-head-task": "ray",
        "ray-worker-task": "ray",
    }
    for role, caller in callers.items():
        policy = json.loads(recorded("prod").of("iam.RolePolicy")[role]["policy"])["Statement"]
        assert cloud.aws.of(caller)
        assert refused(policy, cloud.aws.of(caller)) == []
