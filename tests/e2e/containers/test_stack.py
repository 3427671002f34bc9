"""A stack in containers: closed to others, whole after every kill, with its data after every restart."""

import asyncio
import json
import re
import subprocess
import urllib.request
from functools import partial
from pathlib import Path

import httpx
import pytest

from registry.model.versions import fetch, version_of
from registry.production.promotion import history
from registry.settings import Settings
from serve.lifecycle.refusals import SHED
from tests.collector import above, attributes
from tests.e2e.containers.collector import ENDPOINT, collecting_beside, received
from tests.e2e.containers.conftest import APP, FIRST, Load
from tests.e2e.containers.jobs import JOBS, begin, info, submit
from tests.e2e.containers.notebook import executed, token_of
from tests.e2e.containers.stack import (
    PORTS,
    SECRETS,
    Pulumi,
    bucket,
    containers,
    healthy,
    inspect,
    kill_main_process,
    object_store,
    run,
    volumes,
    wait_for,
)
from tests.infra.support.layers import found_in
from tests.promotions import promoting

pytestmark = pytest.mark.timeout(2400)

SECOND = "synthetic:800"
KEPT_RUNNING = ("postgres", "minio", "mlflow", "ray-head", "ray-worker", "webapp")
PEOPLE = 400  # two replicas take on 128 each; who is refused asks again at once, which is what HAProxy turns away


def served_version() -> int | None:
    response = httpx.get(f"{APP}/model", timeout=15)
    return response.json()["version"] if response.status_code == 200 else None


def test_every_service_is_healthy_and_a_second_up_changes_nothing(stack):
    assert all(healthy(stack.container(service)) for service in KEPT_RUNNING)
    before = {name: inspect(name)["Id"] for name in containers()}

    said = stack.up()

    assert {name: inspect(name)["Id"] for name in containers()} == before
    if isinstance(stack, Pulumi):
        assert "unchanged" in said
        assert not {"created", "updated", "replaced", "deleted"} & set(said.split("Resources:")[-1].split())


def test_no_port_is_published_outside_loopback(stack):
    published = {}
    for name in containers():
        for bindings in (inspect(name)["NetworkSettings"]["Ports"] or {}).values():
            for binding in bindings or ():
                published.setdefault(binding["HostPort"], set()).add(binding["HostIp"])
    assert published == {port: {"127.0.0.1"} for port in PORTS}


def test_every_container_is_confined(stack):
    for service in KEPT_RUNNING:
        host = inspect(stack.container(service))["HostConfig"]
        user = inspect(stack.container(service))["Config"]["User"]
        assert user not in ("", "root", "0"), f"{service} runs as root"
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] or host["Ulimits"], service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service


def test_secrets_stand_in_no_inspection_log_layer_or_output(stack, load: Load):
    values = [file.read_text().strip() for file in SECRETS.iterdir() if "credentials" not in file.name]
    places = {}
    for name in containers():
        places[f"inspection of {name}"] = json.dumps(inspect(name))
        logs = run("docker", "logs", name)
        places[f"log of {name}"] = logs.stdout + logs.stderr
    images = sorted({inspect(name)["Image"] for name in containers()})
    for image in images:
        places[f"history of {image}"] = run("docker", "history", "--no-trunc", image).stdout
    places["make status"] = run("make", "status").stdout
    places["the stack's outputs"] = stack.outputs()
    assert [place for place, text in places.items() for value in values if value in text] == []
    saving = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
    with saving.stdout as saved:
        assert list(found_in(saved, [value.encode() for value in values])) == []
    assert saving.wait() == 0


@pytest.mark.parametrize(
    ("header", "status"), [({}, 401), ({"Authorization": "Bearer wrong"}, 403), ({"Authorization": "right"}, 200)]
)
def test_the_jobs_api_asks_for_the_token(stack, header: dict[str, str], status: int):
    if header.get("Authorization") == "right":
        header = {"Authorization": f"Bearer {(SECRETS / 'ray-token').read_text()}"}
    assert httpx.get(f"{JOBS}/api/jobs/", headers=header, timeout=30).status_code == status


def test_mlflow_refuses_a_foreign_host_header(stack):
    address = "http://localhost:5000/api/2.0/mlflow/registered-models/search"
    assert httpx.get(address).status_code == 200
    assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 403


def test_from_an_upload_to_an_answer_and_on_to_the_next_version_without_a_failed_request(stack, load: Load):
    assert urllib.request.urlopen(f"{APP}/healthz").status == 200
    assert load.ask().status == 503, "there is no model yet"

    run(*stack.upload, f"DATA={FIRST}")
    assert "promoted" in submit("python", "-m", "ray_jobs.train")
    wait_for(lambda: load.ask().version == 1, "an answer by version 1")

    with load.running() as answers:
        run(*stack.upload, f"DATA={SECOND}")
        assert "promoted" in submit("python", "-m", "ray_jobs.train")
        wait_for(lambda: answers and answers[-1].version == 2, "an answer by version 2")

    assert {answer.status for answer in answers} == {200}
    versions = [answer.version for answer in answers]
    assert set(versions) == {1, 2}


def test_more_than_the_webapp_takes_on_is_turned_away_by_its_haproxy_and_the_rest_is_answered(stack, load: Load):
    async def burst() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            send = partial(client.post, f"{APP}/predict", content=load.image, headers={"content-type": "image/png"})

            async def again_and_again() -> list[httpx.Response]:
                return [await send() for _ in range(3)]

            each = await asyncio.gather(*(again_and_again() for _ in range(PEOPLE)))
            return [answer for answers in each for answer in answers]

    answers = []
    while not any(answer.status_code == 503 and answer.json()["detail"] == SHED for answer in answers):
        answers += asyncio.run(burst())

    assert {answer.status_code for answer in answers} == {200, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {(answer.json()["code"], answer.headers["retry-after"]) for answer in refused} == {("busy", "1")}
    wait_for(lambda: load.ask().status == 200, "an answer after the burst")


def test_a_person_on_this_machine_gets_the_files_of_a_version(answering: int, registry: Settings, tmp_path: Path):
    bundle = fetch(registry, version_of(registry, answering), tmp_path / "bundle")  # it compares the digest

    assert bundle.golden


def test_an_upload_goes_on_where_it_stopped(stack):
    store, data = object_store(), bucket(stack, "data")
    keys = [item["Key"] for item in store.list_objects_v2(Bucket=data)["Contents"]]
    for key in keys[:3]:
        store.delete_object(Bucket=data, Key=key)

    said = run(*stack.upload, f"DATA={SECOND}").stdout

    assert "3 sent, 797 there already" in said


def test_the_notebook_of_the_stack_ends_with_an_answer_of_its_page(stack, answering: int):
    with stack.with_optional("jupyter"):
        jupyter = stack.container("jupyter")
        contents = "http://localhost:8888/api/contents/notebooks/train.ipynb"
        assert httpx.get(contents).status_code == 403
        token = {"Authorization": f"token {token_of(jupyter)}"}
        assert httpx.get(contents, headers=token).json()["type"] == "notebook"
        shown = executed(jupyter)

    told = "\n".join(shown)
    assert f"X-rays: s3://{bucket(stack, 'data')}" in told
    assert f"in Production: pneumonia version {answering}" in told
    assert "MLflow: http://localhost:5000/#/" in told
    assert "No evidence" not in told
    assert re.search(r"labelled (NORMAL|PNEUMONIA):\n  label: (NORMAL|PNEUMONIA)\n", shown[-1]), shown[-1]
    assert re.search(rf"model: .*'version': {answering}\b", shown[-1])


def test_a_task_on_a_worker_tells_a_collector_of_its_part_of_the_job_s_trace(stack, answering: int, tmp_path: Path):
    trace = "0af7651916cd43dd8448eb211c80319c"
    with collecting_beside(stack.container("ray-head")) as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "TRACEPARENT": f"00-{trace}-b7ad6b7169203331-01"}
        submit(
            *("python", "-m", "ray_jobs.predict", "--data", "synthetic:40", "--out", "/tmp/scores.parquet"), **variables
        )
        spans = received(collector, tmp_path).of(trace)

    batch = spans["predict a batch"]
    assert above(batch, spans) == ["predict", "ray_jobs.predict"]
    assert attributes(batch)["host.name"] == inspect(stack.container("ray-worker"))["Config"]["Hostname"]


@pytest.fixture
def extracted(stack) -> None:
    """The features of all uploaded X-rays, whichever test comes first."""
    run(*stack.upload, f"DATA={SECOND}")
    submit("python", "-m", "ray_jobs.extract_features")


@pytest.mark.long
@pytest.mark.usefixtures("extracted")
def test_a_worker_killed_during_extraction_changes_no_byte_of_the_features(stack):
    store, state = object_store(), bucket(stack, "state")

    def features() -> dict[str, str]:
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=state, Prefix="features/")
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}

    before = features()
    assert len(before) > 100
    for key in before:
        store.delete_object(Bucket=state, Key=key)
    job = begin("python", "-m", "ray_jobs.extract_features")
    wait_for(lambda: len(features()) > 10, "the first features")
    assert len(features()) < len(before)

    kill_main_process(stack.container("ray-worker"))

    wait_for(lambda: info(job).get("status") == "SUCCEEDED", "the job's end", seconds=300)
    assert features() == before


@pytest.mark.parametrize("service", KEPT_RUNNING)
def test_a_killed_service_comes_back_and_no_promotion_beside_the_kill_is_lost(
    stack, load: Load, registry: Settings, service: str
):
    store = object_store()
    artefacts = store.list_objects_v2(Bucket=bucket(stack, "artefacts"))["KeyCount"]
    versions = [version_of(registry, number) for number in (1, 2)]

    with load.running() as answers, promoting(registry, versions, pause_s=1.0) as promotions:
        wait_for(lambda: promotions.acknowledged, "a promotion")
        kill_main_process(stack.container(service))
        wait_for(lambda: healthy(stack.container(service)), f"{service} healthy again", seconds=240)
        before = len(promotions.acknowledged)
        wait_for(lambda: len(promotions.acknowledged) > before, "a promotion after the kill")
        wait_for(lambda: answers and answers[-1].status == 200, "an answer")

    if service != "webapp":
        assert {answer.status for answer in answers} == {200}
    assert {answer.version for answer in answers if answer.status == 200} <= {1, 2}
    assert store.list_objects_v2(Bucket=bucket(stack, "artefacts"))["KeyCount"] == artefacts
    assert promotions.lost(registry) == []
    assert promotions.explain(registry)
    promoted = production_of_the_registry()
    wait_for(lambda: served_version() == promoted, "what is in Production, on the page")


def production_of_the_registry() -> int:
    def ask() -> int | None:
        address = "http://localhost:5000/api/2.0/mlflow/registered-models/alias?name=pneumonia&alias=production"
        try:
            response = httpx.get(address, timeout=10)
        except httpx.HTTPError:
            return None
        return int(response.json()["model_version"]["version"]) if response.status_code == 200 else None

    return wait_for(ask, "an answer of the registry")


def test_the_webapp_answers_with_everything_else_down(stack, load: Load):
    others = [stack.container(service) for service in KEPT_RUNNING if service != "webapp"]
    run("docker", "stop", "--time", "5", *others)
    try:
        with load.running() as answers:
            wait_for(lambda: len(answers) >= 40, "forty answers")
    finally:
        run("docker", "start", *others)
    assert {answer.status for answer in answers} == {200}
    wait_for(lambda: all(map(healthy, others)), "everything healthy again", seconds=240)


def test_data_survive_a_restart_and_down_and_up(stack, load: Load):
    promoted = production_of_the_registry()
    count = len(object_store().list_objects_v2(Bucket=bucket(stack, "data"))["Contents"])

    run("docker", "restart", stack.container("postgres"), stack.container("minio"))
    assert production_of_the_registry() == promoted

    stack.down(keep_data=True)
    assert containers() == []
    stack.up()

    assert production_of_the_registry() == promoted
    assert len(object_store().list_objects_v2(Bucket=bucket(stack, "data"))["Contents"]) == count
    wait_for(lambda: load.ask().version == promoted, "an answer by the version that was in Production")


@pytest.mark.long
def test_what_was_backed_up_comes_back_after_all_data_are_destroyed(
    stack, load: Load, registry: Settings, answering: int, tmp_path: Path
):
    before, told = history(registry), answer(load)
    run("make", "backup", f"TO={tmp_path / 'backups'}", *stack.of_it)

    stack.down(keep_data=False)
    assert volumes() == []
    stack.up()
    assert load.ask().status == 503, "nothing is left of it"
    done = run("make", "restore", f"FROM={tmp_path / 'backups'}", *stack.of_it)

    assert "restored " in done.stdout
    assert production_of_the_registry() == answering
    both = range(8)  # each replica follows for itself, and requests go to both
    wait_for(lambda: all(load.ask().version == answering for _ in both), "answers by the version of before")
    assert answer(load) == told
    assert history(registry) == before
    assert "are whole and the same in MLflow and in STATE_URI" in submit("python", "-m", "ray_jobs.history", "--verify")


def answer(load: Load) -> dict[str, object]:
    """What the page says of a picture, but for the request's own number."""
    found = httpx.post(f"{APP}/predict", content=load.image, headers={"content-type": "image/png"}, timeout=60).json()
    return {name: found[name] for name in ("label", "probability", "threshold", "model")}


@pytest.mark.long
@pytest.mark.usefixtures("extracted")
def test_work_spreads_over_more_workers_and_taking_one_away_loses_nothing(stack, tmp_path: Path):
    stack.up(workers=2)
    workers = [name for name in containers() if "ray-worker" in name]
    assert len(workers) == 2
    store, state = object_store(), bucket(stack, "state")
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=state, Prefix="features/"):
        for item in page["Contents"]:
            store.delete_object(Bucket=state, Key=item["Key"])
    job = begin("python", "-m", "ray_jobs.extract_features")
    # A worker that waits for work is called ray::IDLE; the kernel keeps 15 letters of a name.
    busy = "grep -l '^ray::_extract' /proc/[0-9]*/comm 2>/dev/null | wc -l"
    worked = set[str]()

    def both_have_worked() -> bool:
        worked.update(worker for worker in workers if int(run("docker", "exec", worker, "sh", "-c", busy).stdout) > 0)
        return worked == set(workers)

    wait_for(both_have_worked, "extraction on both workers")

    stack.up(workers=1)

    wait_for(lambda: info(job).get("status") == "SUCCEEDED", "the job's end", seconds=300)
    said = submit("python", "-m", "ray_jobs.extract_features")
    assert "0 images extracted, 800 found in the cache" in said
    assert len([name for name in containers() if "ray-worker" in name]) == 1
