"""`pulumi up --stack local`, against Pulumi's own mocks: what is asked of Docker, and what is refused before."""

import functools
from dataclasses import replace
from typing import Any

import pytest

from infra.inputs import Hidden, hidden_in
from infra.local import backend
from infra.local.lower import lower
from infra.local.settings import read_local_settings
from infra.topology import topology
from tests.infra.support.recorded import Stack, record

SMALL: dict[str, str] = {}
LARGE = {"workers": "4", "jupyter": "true", "login": "true"}
recorded = functools.cache(record)
both = pytest.mark.parametrize("settings", [SMALL, LARGE], ids=["one worker", "four workers, notebook and login"])

ONE_WORKER = {
    "Container": {
        *("hm-mlflow-minio", "hm-mlflow-minio-buckets", "hm-mlflow-mlflow", "hm-mlflow-postgres"),
        *("hm-mlflow-ray-head", "hm-mlflow-ray-worker-1", "hm-mlflow-webapp", "secrets"),
    },
    "Image": {"minio", "mlflow", "model", "webapp"},
    "Network": {"common", "postgres"},
    "RemoteImage": {"postgres"},
    "Volume": {
        *("hm-mlflow-minio", "hm-mlflow-postgres", "hm-mlflow-postgres-postgresql", "hm-mlflow-webapp"),
        *("hm-mlflow-minio-secrets", "hm-mlflow-minio-buckets-secrets", "hm-mlflow-mlflow-secrets"),
        *("hm-mlflow-postgres-secrets", "hm-mlflow-ray-head-secrets", "hm-mlflow-ray-worker-secrets"),
        "hm-mlflow-webapp-secrets",
    },
}
MORE_IN_THE_LARGE_ONE = {
    "Container": {
        *("hm-mlflow-jupyter", "hm-mlflow-ray-worker-2", "hm-mlflow-ray-worker-3", "hm-mlflow-ray-worker-4"),
    },
    "Image": {"jupyter"},
    "Volume": {"hm-mlflow-jupyter", "hm-mlflow-jupyter-secrets"},
}

WAITS = {
    "minio": set(),
    "postgres": set(),
    "minio-buckets": {"minio"},
    "mlflow": {"minio-buckets", "postgres"},
    "ray-head": {"minio-buckets"},
    "ray-worker-1": {"minio-buckets", "ray-head"},
    "webapp": {"minio-buckets", "mlflow"},
}


def listing(stack: Stack) -> dict[str, set[str]]:
    """The names of all resources by kind, after a look that none is there twice."""
    kinds = {resource.kind for resource in stack.resources}
    names = {kind: set(stack.of(kind)) for kind in kinds}
    assert sum(map(len, names.values())) == len(stack.resources)
    return names


def of_services(stack: Stack) -> dict[str, dict[str, Any]]:
    """The containers of services: the arguments by name without the project."""
    containers = stack.of("Container").items()
    return {name.removeprefix("hm-mlflow-"): made.inputs for name, made in containers if name != "secrets"}


def waits(stack: Stack, name: str) -> set[str]:
    needs = stack.of("Container")[f"hm-mlflow-{name}"].needs
    return {need.removeprefix("Container hm-mlflow-") for need in needs if need.startswith("Container hm-mlflow-")}


def kept(stack: Stack) -> dict[str, bool]:
    """Whether each volume outlives the stack."""
    return {name.removeprefix("hm-mlflow-"): volume.retained for name, volume in stack.of("Volume").items()}


def texts(value: Any) -> list[str]:
    """Every text that Pulumi would show, so none that is marked secret."""
    if isinstance(value, dict | list):
        return [text for part in (value.values() if isinstance(value, dict) else value) for text in texts(part)]
    return [] if isinstance(value, Hidden) else [str(value)]


def test_one_worker_takes_exactly_these_resources():
    assert listing(recorded()) == ONE_WORKER


def test_workers_notebook_and_login_add_exactly_these():
    more = {kind: names | MORE_IN_THE_LARGE_ONE.get(kind, set()) for kind, names in ONE_WORKER.items()}
    assert listing(recorded(**LARGE)) == more


def test_without_workers_the_rest_is_there():
    fewer = ONE_WORKER | {"Container": ONE_WORKER["Container"] - {"hm-mlflow-ray-worker-1"}}
    assert listing(recorded(workers="0")) == fewer


def test_one_worker_more_changes_nothing_of_those_that_are_there():
    fewer, more = recorded(workers="1"), recorded(workers="2")
    assert [str(new) for new in more.resources if new not in fewer.resources] == ["Container hm-mlflow-ray-worker-2"]
    assert [old for old in fewer.resources if old not in more.resources] == []


@both
def test_every_published_port_is_on_this_machine_only(settings: dict[str, str]):
    ports = {
        name: [(port["ip"], port["external"], port["internal"]) for port in inputs["ports"]]
        for name, inputs in of_services(recorded(**settings)).items()
        if inputs["ports"]
    }
    notebook = {"jupyter": [("127.0.0.1", 8888, 8888)]} if settings else {}
    assert ports == notebook | {
        "minio": [("127.0.0.1", 9000, 9000)],
        "mlflow": [("127.0.0.1", 5000, 5000)],
        "ray-head": [("127.0.0.1", 8265, 8265)],
        "webapp": [("127.0.0.1", 8080, 8080)],
    }
    assert "ports" not in recorded(**settings).of("Container")["secrets"].inputs


def test_only_the_folders_with_data_outlive_the_stack():
    outliving = {name for name, stays in kept(recorded()).items() if stays}
    assert outliving == {"minio", "postgres", "postgres-postgresql", "webapp"}


def test_nothing_outlives_the_stack_when_the_data_are_not_kept():
    assert set(kept(recorded(keepData="false")).values()) == {False}


@both
def test_what_is_uploaded_is_secret_and_nothing_else_is_or_tells_one(settings: dict[str, str]):
    stack = recorded(**settings)
    uploads = stack.of("Container")["secrets"].inputs["uploads"]
    assert all(isinstance(upload["content"], Hidden) for upload in uploads)
    labelled = [one for one in stack.of("Container").values() if "labels" in one.inputs]
    assert all(isinstance(one.inputs["labels"][0]["value"], Hidden) for one in labelled)
    hidden = sum(len(list(hidden_in(resource.inputs))) for resource in stack.resources)
    assert hidden == len(uploads) + len(labelled)
    shown = texts([resource.inputs for resource in stack.resources]) + texts(stack.outputs)
    assert "MLFLOW_PORT=5000" in shown
    assert not [text for text in shown if "value of" in text]


def test_each_service_gets_its_own_secrets_and_no_others():
    uploads = recorded(**LARGE).of("Container")["secrets"].inputs["uploads"]
    store = "[default]\naws_access_key_id = hm-mlflow\naws_secret_access_key = value of object-store-password\n"
    webapp = {
        "/secrets/webapp/mlflow-serving-password": "value of mlflow-serving-password",
        "/secrets/webapp/object-store-credentials": store,
    }
    head = {
        "/secrets/ray-head/ray-token": "value of ray-token",
        "/secrets/ray-head/mlflow-jobs-password": "value of mlflow-jobs-password",
        "/secrets/ray-head/object-store-credentials": store,
    }
    given = {upload["file"]: upload["content"].value for upload in uploads}
    assert {file: text for file, text in given.items() if file.startswith("/secrets/webapp/")} == webapp
    assert {file: text for file, text in given.items() if file.startswith("/secrets/ray-head/")} == head
    assert len(given) == len(uploads) == 21  # 1 + 1 + 1 + 6 + 3 + 3 + 2 + 4


@pytest.mark.parametrize("name", WAITS)
def test_a_container_waits_for_those_that_it_needs(name: str):
    assert waits(recorded(), name) == WAITS[name]


def test_who_waits_for_a_service_waits_for_each_replica_of_it():
    whole = topology(workers=3)
    services = tuple(
        replace(service, after=("mlflow", "ray-worker")) if service.name == "webapp" else service
        for service in whole.services
    )
    stack = record(lambda: backend.build(replace(whole, services=services), read_local_settings()))
    assert waits(stack, "webapp") == {"minio-buckets", "mlflow", "ray-worker-1", "ray-worker-2", "ray-worker-3"}


@both
def test_what_others_wait_for_is_health_or_an_end(settings: dict[str, str]):
    for name, inputs in of_services(recorded(**settings)).items():
        once = name == "minio-buckets"
        assert (inputs["wait"], inputs["attach"], inputs["mustRun"]) == (not once, once, not once), name
        assert ("healthcheck" in inputs) == (not once), name


def test_no_wait_ends_while_docker_still_lets_a_container_start():
    found = of_services(recorded())
    for service in lower(topology()).services:
        if (check := service.health) and (inputs := found.get(service.name)):
            allowed = check.start_period + check.retries * (check.interval + check.timeout)
            assert inputs["waitTimeout"] >= allowed, service.name
    assert found["ray-head"]["waitTimeout"] == 60 + 9 * (20 + 10)


@both
def test_every_container_runs_an_image_by_its_id(settings: dict[str, str]):
    images = {name: inputs["image"] for name, inputs in of_services(recorded(**settings)).items()}
    worker = {f"ray-worker-{number}": "id of model" for number in range(1, 5 if settings else 2)}
    assert images == ({"jupyter": "id of jupyter"} if settings else {}) | worker | {
        "minio": "id of minio",
        "minio-buckets": "id of mlflow",
        "postgres": "id of postgres",
        "mlflow": "id of mlflow",
        "ray-head": "id of model",
        "webapp": "id of webapp",
    }


def test_another_stack_shares_no_name_with_the_local_one():
    def names(stack: Stack) -> set[str]:
        return {resource.inputs.get("imageName") or resource.inputs["name"] for resource in stack.resources}

    shared = names(recorded(**LARGE)) & names(recorded(stack="try", **LARGE))
    assert shared == {"postgres:15-bookworm"}
    assert all(name.startswith("hm-mlflow-try") for name in names(recorded(stack="try", **LARGE)) - shared)


@both
def test_the_outputs_are_every_address_and_what_to_type_next(settings: dict[str, str]):
    notebook = {"jupyter": "http://localhost:8888"} if settings else {}
    outputs = dict(recorded(**settings).outputs)
    upload, token, submit = outputs.pop("next")
    assert (upload, token) == ("make upload DATA=FOLDER", 'eval "$(make token)"')
    assert submit.startswith(".venv/bin/ray job submit --address http://localhost:8265 ")
    assert outputs == notebook | {
        "minio": "http://localhost:9000",
        "mlflow": "http://localhost:5000/#/experiments",
        "ray-head": "http://localhost:8265",
        "webapp": "http://localhost:8080",
    }


def test_what_to_type_next_in_another_stack_names_it():
    upload, token, _ = record(stack="try").outputs["next"]
    assert (upload, token) == ("make upload STACK=try DATA=FOLDER", 'eval "$(make token STACK=try)"')
