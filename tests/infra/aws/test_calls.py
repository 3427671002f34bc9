"""What the code of each role asks of AWS, recorded as it works, and held against the policy of the role."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import numpy as np
import pytest
from fastapi.testclient import TestClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from features.spec import DEFAULT_SPEC
from infra.settings import ROOT
from ray_jobs.dataset.manifest import images_of
from ray_jobs.dataset.s3_source import S3Source
from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.cache import extract_shard
from ray_jobs.feature_table.prepare import prepare
from ray_jobs.runtime.output import OutputFile
from ray_jobs.scoring import BATCH, SCHEMA, ScoringJob, _batch
from ray_jobs.tracking.reference import keep_reference, load_reference
from ray_jobs.upload import upload
from registry.model.bundle import Bundle
from registry.records.predictions import Bounds, files, prune, read
from registry.settings import Settings
from registry.state import open_state
from serve.api import create_app
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Holder, Served
from tests.infra.support.calls import Call, RecordingAws, refused
from tests.infra.support.graph import DATABASE_SECRET, recorded
from tests.infra.support.roles import BUCKETS, PERSON, as_role, aws_with_buckets
from tests.serve.support.models import GeneratedXrays, served
from tests.serve.support.waiting import until

DATA, STATE = (f"s3://{BUCKETS[name]}" for name in ("data", "state"))
JOB = "ray-task"
# By which keys the code of a role asks here. A job's driver runs on the head and its tasks on workers, with one policy.
CALLERS = {
    "mlflow-task": "mlflow-task",
    "notebook": "notebook",
    "ray-head-task": JOB,
    "ray-worker-task": JOB,
    "webapp-task": "webapp-task",
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingAws]:
    """What was asked in a whole day: an upload, a training's files, a version, answers, feedback, drift, a batch."""
    folder = tmp_path_factory.mktemp("calls")
    training_set = GeneratedXrays.generated(patients=24)
    model = served(training_set, folder / "bundle", version=1)
    settings = Settings(data_uri=DATA, state_uri=STATE, ray_address=None)
    with aws_with_buckets() as aws:
        with as_role(PERSON, aws):
            upload(open_source("synthetic:60"), S3Source.from_uri(DATA))
            content = json.dumps({"username": "mlflow", "password": "a password"})
            boto3.client("secretsmanager").create_secret(Name=DATABASE_SECRET, SecretString=content)
        with as_role("mlflow-task", aws, DATABASE_SECRET=DATABASE_SECRET, PGPASSFILE=str(folder / "pgpass")):
            subprocess.run([sys.executable, ROOT / "compose" / "images" / "database-password"], check=True)
            a_version_in_the_store(folder)
        with as_role(JOB, aws):
            the_files_of_a_training(settings)
        with as_role("webapp-task", aws):
            a_day_of_the_page(settings, model, training_set.images[:3])
        with as_role(JOB, aws):
            assert list(read(open_state(STATE), since=datetime(2000, 1, 1, tzinfo=UTC)))  # as drift does
            a_batch(model.bundle)
        with as_role("notebook", aws):
            source = open_source(DATA)
            assert source.read(next(iter(source.entries())).path)
        with as_role("webapp-task", aws):
            assert prune(open_state(STATE), Bounds(size=1)) >= 1
        yield aws


def a_version_in_the_store(folder: Path) -> None:
    """What MLflow's server does with a bucket for the files of a model: put, list, get, delete."""
    store = get_artifact_repository(f"s3://{BUCKETS['artefacts']}/1/run/artifacts")
    store.log_artifacts(str(folder / "bundle"), "bundle")
    assert "bundle/card.json" in [file.path for file in store.list_artifacts("bundle")]
    store.download_artifacts("bundle", str(folder))
    store.delete_artifacts("bundle")


def the_files_of_a_training(settings: Settings) -> None:
    """Manifest, features, now and again, and the reference: all that a training keeps below STATE_URI."""
    for _ in range(2):
        prepared = prepare(settings)
        for prefix, rows in prepared.manifest.shards():
            images = images_of(rows)
            extract_shard(prepared.source, prepared.state, DEFAULT_SPEC, prefix, images)
    held_out = prepared.sides().held_out
    digest = keep_reference(prepared.state, held_out, np.full(len(held_out), 0.5), DEFAULT_SPEC)
    assert len(load_reference(prepared.state, digest).sha256)


def a_day_of_the_page(settings: Settings, served: Served, pictures: list[bytes]) -> None:
    """Answers and feedback over HTTP, and what is too old removed."""
    state, metrics = open_state(STATE), Metrics()
    recorder = PredictionRecorder(lambda: state, metrics, flush_s=0.05)
    app = create_app(Holder(served=served), settings=settings, metrics=metrics, recorder=recorder)
    with TestClient(app) as page:
        for picture in pictures:
            answer = page.post("/predict", files=[("file", ("a.png", picture))]).json()
        until(lambda: list(files(state)))
        until(lambda: _takes_feedback(page, answer))
        assert page.get("/feedback.csv").status_code == 200


def _takes_feedback(page: TestClient, answer: dict) -> bool:
    return page.post(f"/predictions/{answer['id']}/feedback", json={"label": answer["label"]}).status_code == 200


def a_batch(bundle: Bundle) -> None:
    """Scores of a folder, kept, read again, written where --out says, and what was kept removed."""
    out = OutputFile.parse(f"{STATE}/scores.parquet")
    out.try_out()
    job = ScoringJob.of(open_source(f"{DATA}/NORMAL"), bundle, 1, "digest", open_state(STATE))
    for _ in range(2):
        rows = [_batch.function(job, index, paths) for index, paths in enumerate(job.listing.batches(BATCH))]
    out.write(rows, SCHEMA)
    job.forget()


@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("role", CALLERS)
def test_a_role_allows_every_call_that_its_code_makes(aws: RecordingAws, role: str, environment: str):
    policy = json.loads(recorded(environment).of("iam.RolePolicy")[role]["policy"])["Statement"]
    calls = aws.of(CALLERS[role])
    assert calls
    assert refused(policy, calls) == []


def test_what_is_recorded_is_what_each_does(aws: RecordingAws):
    def actions(caller: str, bucket: str) -> set[str]:
        return {call.action for call in aws.of(caller) if f":::{BUCKETS[bucket]}" in call.resource}

    assert actions(JOB, "data") == {"s3:ListBucket", "s3:GetObject"}
    assert actions(JOB, "state") >= {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert actions("mlflow-task", "artefacts") >= {"s3:PutObject", "s3:GetObject"}
    assert actions("webapp-task", "state") >= {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert actions("notebook", "data") == {"s3:ListBucket", "s3:GetObject"}
    assert Call("secretsmanager:GetSecretValue", DATABASE_SECRET) in aws.of("mlflow-task")
    assert set(aws.calls) == {PERSON, *CALLERS.values()}


def test_a_call_that_a_policy_lacks_is_noticed(aws: RecordingAws):
    policy = json.loads(recorded("dev").of("iam.RolePolicy")["webapp-task"]["policy"])["Statement"]
    assert refused(policy, aws.of(JOB))  # the page may not read people's X-rays
    without = [statement for statement in policy if "s3:PutObject" not in statement["Action"]]
    assert {call.action for call in refused(without, aws.of("webapp-task"))} >= {"s3:PutObject", "s3:DeleteObject"}


def test_every_role_is_seen_at_work_but_those_by_which_ecs_starts_a_service():
    policies = recorded("dev").of("iam.RolePolicy").keys()
    assert {name for name in policies if not name.endswith("-execution")} == CALLERS.keys()
