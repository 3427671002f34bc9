"""The containers as they are on AWS: from an upload to an answer, and through a change of the database's password."""

import json
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.containers import stack
from tests.e2e.containers.conftest import Load
from tests.e2e.containers.fargate import NAMES, Fargate, container, fargate
from tests.e2e.containers.stack import inspect, run, wait_for

pytestmark = pytest.mark.timeout(2400)

SERVICES = ("mlflow", "ray-head", "ray-worker", "webapp")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fargate]:
    """All services of the topology, healthy, on a simulated AWS."""
    if reason := stack.missing():
        pytest.skip(reason)
    with fargate(tmp_path_factory.mktemp("tls")) as made:
        for service in SERVICES:
            made.start(service)
        yield made


def ask_mlflow(aws: Fargate, path: str, *, host: str | None = None, login: bool = True) -> httpx.Response:
    """What MLflow answers to people, who come by the load balancer and so by its name."""
    people = ("admin", aws.secret("mlflow-admin-password")) if login else None
    return httpx.get(
        f"{aws.url('mlflow')}/api/2.0/mlflow/{path}",
        auth=people,
        headers={"Host": host or aws.host("mlflow")},
        timeout=10,
    )


def production(aws: Fargate) -> int | None:
    """The version in Production."""
    try:
        answer = ask_mlflow(aws, "registered-models/alias?name=pneumonia&alias=production")
    except httpx.HTTPError:
        return None
    return int(answer.json()["model_version"]["version"]) if answer.status_code == 200 else None


def test_the_training_task_promotes_what_the_webapp_then_answers_with(aws: Fargate, load: Load):
    upload = (sys.executable, "-m", "ray_jobs.upload", "--data", "synthetic:300")
    said = run(*upload, "--to", f"s3://{NAMES.bucket('data')}", AWS_DEFAULT_REGION=NAMES.region, **aws.variables).stdout
    assert "300 sent" in said

    assert "promoted" in aws.run_task("model-training")

    assert production(aws) == 1
    app = Load(load.image, address=aws.url("webapp"))
    wait_for(lambda: app.ask().version == 1, "an answer by version 1")


def test_mlflow_asks_for_a_login_and_takes_its_own_names_only(aws: Fargate):
    every = "registered-models/search"
    assert ask_mlflow(aws, every).status_code == 200
    assert ask_mlflow(aws, every, login=False).status_code == 401
    assert ask_mlflow(aws, every, host="evil.example").status_code == 403


def test_the_program_beside_the_head_says_how_many_workers_are_wanted(aws: Fargate):
    def said() -> list[int]:
        lines = run("docker", "logs", container("demand")).stdout.splitlines()
        return [json.loads(line)["workers_wanted"] for line in lines]

    assert wait_for(said, "a first word", seconds=150)


def test_mlflow_goes_on_when_the_databases_password_changes(aws: Fargate):
    aws.change_the_databases_password()
    assert wait_for(lambda: production(aws), "an answer of the registry") == 1


def test_no_task_was_ended_or_holds_a_secret_in_its_log(aws: Fargate):
    secrets = [aws.secret(name) for name in ("ray-token", "mlflow-admin-password", "mlflow-jobs-password")]
    for service in (*SERVICES, "demand"):
        state, log = inspect(container(service))["State"], run("docker", "logs", container(service))
        assert state["Running"], service
        assert not state["OOMKilled"], service
        assert [secret for secret in secrets if secret in log.stdout + log.stderr] == [], service
