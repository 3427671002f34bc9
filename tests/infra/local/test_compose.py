"""The committed Compose file: no drift, nothing open, nothing secret in it, and Docker Compose takes it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.__main__ import COMPOSE_FILE, compose_text
from infra.local.compose import compose
from infra.local.container import duration, volume_of
from infra.local.secrets import all_secrets
from infra.settings import ROOT
from infra.spec import Service
from infra.topology import topology
from registry.settings import Settings

FILE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
# With the login there are more secrets than the committed file has.
WITH_LOGIN = compose(topology(workers=3, login=True))


def test_the_committed_file_is_what_the_topology_gives():
    assert COMPOSE_FILE.read_text() == compose_text()


def test_whoever_loads_models_sends_traces_where_the_variable_says_and_none_without_it():
    told = {
        name: service["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
        for name, service in SERVICES.items()
        if "OTEL_EXPORTER_OTLP_ENDPOINT" in service.get("environment", {})
    }
    assert told == dict.fromkeys(("ray-head", "ray-worker", "webapp", "jupyter"), "${OTEL_EXPORTER_OTLP_ENDPOINT:-}")


def test_what_a_stack_takes_from_env_reaches_who_acts_on_it_and_defaults_to_a_value_that_the_setting_takes():
    told = {
        variable: {name for name, service in SERVICES.items() if variable in service.get("environment", {})}
        for variable in ("APPROVAL", "ABSTAIN", "RETRAIN")
    }
    jobs = {"ray-head", "ray-worker", "jupyter"}
    assert told == {"APPROVAL": jobs, "ABSTAIN": jobs | {"webapp"}, "RETRAIN": {"scheduler"}}
    for variable, services in told.items():
        [text] = {SERVICES[name]["environment"][variable] for name in services}
        default = text.removeprefix(f"${{{variable}:-").removesuffix("}")
        assert getattr(Settings(**{variable.lower(): default}), variable.lower()) == default


def test_the_file_says_first_where_it_comes_from_and_how_to_make_it():
    assert COMPOSE_FILE.read_text().splitlines()[0].endswith("by `make compose`; change that, not this.")


def test_these_ports_are_public_and_only_on_this_machine():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "minio": ["127.0.0.1:9000:9000"],
        "mlflow": ["127.0.0.1:5000:5000"],
        "ray-head": ["127.0.0.1:8265:8265"],
        "webapp": ["127.0.0.1:8080:8080"],
        "jupyter": ["127.0.0.1:8888:8888"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


@every_service
def test_a_service_may_do_no_more_than_it_needs(service: dict[str, Any]):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "userns_mode", "devices"}


@every_service
def test_a_service_is_limited_and_no_swap_stretches_its_memory(service: dict[str, Any]):
    assert re.fullmatch(r"[1-9]\d*m", service["mem_limit"])
    assert service["memswap_limit"] == service["mem_limit"]
    assert service["pids_limit"] > 0
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def test_all_come_back_by_themselves_but_the_work_that_is_done_once():
    restarts = {name: service["restart"] for name, service in SERVICES.items()}
    assert restarts.pop("minio-buckets") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_only_the_notebook_the_scheduler_and_the_dashboards_have_to_be_asked_for():
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "scheduler": ["scheduler"],
        "jupyter": ["jupyter"],
        "prometheus": ["dashboards"],
        "grafana": ["dashboards"],
    }


def test_only_mlflow_shares_a_network_with_the_database():
    assert [name for name, service in SERVICES.items() if "postgres" in service["networks"]] == ["postgres", "mlflow"]
    assert SERVICES["postgres"]["networks"] == ["postgres"]


@pytest.mark.parametrize("file", [FILE, WITH_LOGIN], ids=["committed", "with login"])
def test_what_sounds_secret_is_a_file_that_the_service_mounts(file: dict[str, Any]):
    for name, service in file["services"].items():
        mounted = {secret["target"] for secret in service.get("secrets", [])}
        named = {text for text in service.get("environment", {}).values() if text.startswith("/run/secrets/")}
        sounding = {
            variable: text
            for variable, text in service.get("environment", {}).items()
            if re.search("PASSWORD|SECRET|TOKEN|KEY|CREDENTIAL", variable)
        }
        assert set(sounding.values()) <= mounted | {"off"}, name
        assert named <= mounted, name
        assert mounted <= {f"/run/secrets/{secret}" for secret in file["secrets"]}, name


@pytest.mark.parametrize("file", [FILE, WITH_LOGIN], ids=["committed", "with login"])
def test_no_address_has_a_password_in_it_and_no_command_a_secret(file: dict[str, Any]):
    for name, service in file["services"].items():
        words = [*service.get("command", []), *service.get("environment", {}).values()]
        assert not [word for word in words if re.search(r"://[^/@]*:[^/@]*@", word)], name
        assert not [word for word in service.get("command", []) if re.search("password|secret|token", word)], name


def test_a_secret_is_a_file_in_a_folder_that_git_ignores():
    assert {name: secret["file"] for name, secret in WITH_LOGIN["secrets"].items()} == {
        name: f"./secrets/{name}" for name in WITH_LOGIN["secrets"]
    }
    assert "compose/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("file", [FILE, WITH_LOGIN], ids=["committed", "with login"])
def test_what_a_service_names_is_declared_and_what_is_declared_is_used(file: dict[str, Any]):
    services = file["services"].values()
    assert {name for service in services for name in service["networks"]} == file["networks"].keys()
    volumes = [volume.split(":")[0] for service in services for volume in service.get("volumes", [])]
    assert sorted(volumes) == sorted(file["volumes"])  # and no two folders share one
    used = {secret["source"] for service in services for secret in service.get("secrets", [])}
    assert used == file["secrets"].keys()


@pytest.mark.parametrize("service", [service for service in SERVICES.values() if "build" in service])
def test_an_image_is_built_from_a_dockerfile_that_has_its_target(service: dict[str, Any]):
    build = service["build"]
    text = (COMPOSE_FILE.parent / build["context"] / build["dockerfile"]).read_text()
    assert "target" not in build or re.search(rf"^FROM \S+ AS {build['target']}$", text, re.MULTILINE)
    ignored = COMPOSE_FILE.parent / build["context"] / f"{build['dockerfile']}.dockerignore"
    assert ignored.read_text().splitlines()[0] == "*"  # so that only what is named makes a rebuild


def test_an_image_of_ours_is_never_asked_of_a_registry():
    ours = {name: service for name, service in SERVICES.items() if service["image"].startswith("hm-mlflow/")}
    assert {"webapp", "mlflow", "ray-worker"} <= ours.keys()
    assert {service["pull_policy"] for service in ours.values()} == {"never"}
    assert {name for name, service in SERVICES.items() if "build" in service} <= ours.keys()


def test_several_workers_are_one_service_scaled():
    assert WITH_LOGIN["services"]["ray-worker"]["scale"] == 3
    assert compose(topology(workers=0))["services"]["ray-worker"]["scale"] == 0
    assert "scale" not in SERVICES["ray-worker"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (5, "5s"), (59, "59s"), (60, "1m0s"), (90, "1m30s"), (3599, "59m59s")]
)
def test_a_duration_is_spelt_as_docker_spells_it(seconds: int, text: str):
    assert duration(seconds) == text


def test_the_first_kept_folder_s_volume_is_named_for_the_service_and_a_further_one_for_both():
    service = Service(name="store", image="", cpu=0, memory=0, kept=("/var/data", "/var/run/socket"))
    assert [volume_of(service, path) for path in service.kept] == ["store", "store-socket"]


def test_docker_compose_takes_the_file(tmp_path: Path):
    version = ["docker", "compose", "version"]
    if not shutil.which("docker") or subprocess.run(version, capture_output=True, check=False).returncode:
        pytest.skip(reason="no `docker compose` on the PATH; install Docker's Compose plugin")
    copy = tmp_path / "compose" / "docker-compose.yaml"  # where nothing of the tree can be written
    copy.parent.mkdir()
    shutil.copy(COMPOSE_FILE, copy)
    command = ["docker", "compose", "--file", str(copy), "--profile", "*", "config", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    copy.write_text(copy.read_text().replace("mem_limit", "memory_limit", 1))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_where_there_is_no_python_docker_makes_the_secrets_as_the_guide_says(tmp_path: Path):
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip(reason="no Docker engine answers here")
    guide = (ROOT / "docs" / "docker.md").read_text()
    (command,) = re.findall(r"^docker run (?:.*\\\n)*.*infra\.local\.secrets$", guide, re.MULTILINE)
    shutil.copytree(ROOT / "pulumi", tmp_path / "pulumi", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "compose" / "secrets").iterdir()} == set(all_secrets())
    assert not list(tmp_path.rglob("__pycache__"))
