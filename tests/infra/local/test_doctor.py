"""What is wrong on this machine is found, each thing with what mends it; each check is seen to fail and to pass."""

import http.server
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import machine, stack
from infra.__main__ import main
from infra.findings import Chapter, Finding
from infra.local import doctor
from infra.local.doctor import Here
from infra.local.job_settings import job_settings
from infra.local.lower import lower
from infra.local.secrets import all_secrets, derived, write_files
from infra.settings import ROOT
from infra.topology import topology

GIB = 2**30


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH, in which a test says what docker and pulumi answer."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def answers(folder: Path, command: str, **said: str) -> None:
    """A command that answers by its first words; to all others it ends with an error."""
    lines = "".join(f"  '{words.replace('_', ' ')}'*) cat <<'END'\n{text}\nEND\n  ;;\n" for words, text in said.items())
    other = "  *) echo 'is the daemon running?' >&2; exit 1;;"
    script = f'#!/bin/sh\nPATH=/usr/bin:/bin\ncase "$*" in\n{lines}{other}\nesac\n'
    (folder / command).write_text(script)
    (folder / command).chmod(0o755)


def only(findings: Any) -> Finding:
    [found] = list(findings)
    return found


def test_without_docker_it_says_where_to_get_it_and_what_needs_none(commands: Path):
    found = only(machine.docker())
    assert found.stops
    assert found.what == "The command docker is not on the PATH."
    assert "make run" in found.remedy


def test_a_daemon_that_does_not_answer_is_to_be_started(commands: Path):
    answers(commands, "docker")
    assert only(machine.docker()).what == "Docker does not answer: is the daemon running?"


def test_docker_with_too_little_memory_is_noted(commands: Path):
    answers(commands, "docker", info=json.dumps({"MemTotal": 2 * GIB}))
    found = only(machine.docker(memory=True))
    assert (found.stops, found.what) == (False, "Docker has 2.0 GiB of memory; the stack needs about 8.")
    answers(commands, "docker", info=json.dumps({"MemTotal": int(7.7 * GIB)}))
    assert list(machine.docker(memory=True)) == []


def test_a_platform_that_docker_does_not_build_for_stops_aws(commands: Path):
    answers(commands, "docker", info="{}", buildx_inspect="Platforms: linux/arm64")
    found = only(machine.docker(platform="linux/amd64"))
    assert found.stops
    assert found.remedy == "docker run --privileged --rm tonistiigi/binfmt --install amd64"
    answers(commands, "docker", info="{}", buildx_inspect="Platforms: linux/arm64, linux/amd64")
    assert list(machine.docker(platform="linux/amd64")) == []
    answers(commands, "docker", info="{}")
    assert "buildx" in only(machine.docker(platform="linux/amd64")).what


def test_pulumi_its_python_plugin_and_its_providers_are_looked_for(commands: Path):
    assert only(machine.pulumi(("docker",))).what == "The command pulumi is not on the PATH."
    answers(commands, "pulumi", plugin_ls="[]")
    python, docker = machine.pulumi(("docker",))
    assert python.stops
    assert "plugin for Python" in python.what
    assert not docker.stops
    version = docker.remedy.removeprefix("pulumi plugin install resource docker ")
    answers(commands, "pulumi-language-python")
    answers(commands, "pulumi", plugin_ls=json.dumps([{"name": "docker", "version": f"{version}"}]))
    assert list(machine.pulumi(("docker",))) == []


def test_the_command_aws_is_looked_for_and_its_first_version_is_noted(commands: Path):
    assert not only(machine.aws()).stops
    answers(commands, "aws", **{"--version": "aws-cli/2.30.5 Python/3.13.7 Linux/6.8.0"})
    assert list(machine.aws()) == []
    answers(commands, "aws", **{"--version": "aws-cli/1.45.11 Python/3.11.7 Linux/6.8.0"})
    found = only(machine.aws())
    assert not found.stops
    assert found.what.startswith("The command aws is version 1")


@pytest.mark.parametrize(("architecture", "platform"), [("x86_64", "linux/amd64"), ("arm64", "linux/arm64")])
def test_aws_asks_docker_for_the_processors_that_are_set(architecture: str, platform: str, monkeypatch, capsys):
    monkeypatch.setattr(stack, "settings_of", lambda _: {"architecture": architecture})
    monkeypatch.setattr("infra.aws.account.examination.examine", lambda _: [])
    asked = []
    monkeypatch.setattr(machine, "docker", lambda **given: asked.append(given["platform"]) or ())
    monkeypatch.setattr(machine, "pulumi", lambda _: ())
    monkeypatch.setattr(machine, "disk", lambda _: ())
    monkeypatch.setattr("sys.argv", ["infra", "doctor", "aws"])
    main()
    assert asked == [platform]


def test_too_little_disk_is_noted_and_almost_none_stops(tmp_path: Path, monkeypatch):
    assert list(machine.disk(tmp_path, needed_gb=0)) == []
    for free, stops in ((12e9, False), (1e9, True)):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert only(machine.disk(tmp_path)).stops is stops


def test_a_proxy_that_would_be_asked_for_this_machine_is_noted():
    found = only(machine.proxies({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.com,localhost"}))
    assert found.what == "https_proxy is set, and 127.0.0.1 would be asked through the proxy."
    assert found.remedy == "export no_proxy=example.com,localhost,127.0.0.1; export NO_PROXY=$no_proxy"
    assert list(machine.proxies({"https_proxy": "http://proxy:3128", "no_proxy": "localhost, 127.0.0.1"})) == []
    assert list(machine.proxies({"no_proxy": ""})) == []


def test_another_python_is_told_to_go():
    assert only(doctor.python((3, 13))).what.startswith("Python is 3.13;")
    assert list(doctor.python((3, 12))) == []


def test_a_token_that_is_not_where_the_variable_says_is_found(tmp_path: Path):
    there = tmp_path / "token"
    assert "where no token is" in only(doctor.token({"RAY_AUTH_TOKEN_PATH": str(there)})).what
    there.write_text("a token")
    assert list(doctor.token({"RAY_AUTH_TOKEN_PATH": str(there)})) == []
    assert list(doctor.token({})) == []


def test_an_env_file_in_another_encoding_is_found_by_its_line(tmp_path: Path):
    (tmp_path / ".env").write_bytes("# settings\nPROMOTED_BY=José\n".encode("latin-1"))
    found = only(job_settings(tmp_path, {}))
    assert found.what == f"{tmp_path / '.env'}, line 2, is not written in UTF-8."
    (tmp_path / ".env").write_text("# settings\nPROMOTED_BY=José\n", "utf-8-sig")
    assert list(job_settings(tmp_path, {})) == []


def test_a_folder_of_x_rays_that_is_not_there_is_found_and_other_sources_are_left_alone(tmp_path: Path):
    (tmp_path / ".env").write_text("DATA_URI=../nowhere\n")
    assert only(job_settings(tmp_path, {})).what == "DATA_URI is '../nowhere', which is no folder on this machine."
    for fine in (str(tmp_path), "synthetic:60", "s3://a/b", "kaggle:a/b", ""):
        assert list(job_settings(tmp_path, {"DATA_URI": fine})) == []


@pytest.mark.parametrize(
    ("variable", "address", "more"),
    [
        ("MLFLOW_TRACKING_URI", "http://ana:secret@127.0.0.1:{port}", {}),
        ("MLFLOW_TRACKING_URI_CLOUD", "http://127.0.0.1:{port}", {"EXECUTION_ENVIRONMENT": "cloud"}),
        ("RAY_ADDRESS", "127.0.0.1:{port}", {}),
    ],
)
def test_a_server_that_a_setting_names_and_that_does_not_answer_is_found(
    tmp_path: Path, variable: str, address: str, more: dict[str, str]
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = {variable: address.format(port=port), **more}
        assert list(job_settings(tmp_path, settings)) == []
    found = only(job_settings(tmp_path, settings))
    assert found.what.startswith(f"{variable} names 127.0.0.1:{port}, which does not answer: ")
    assert "secret" not in str(found)


def test_settings_that_name_no_server_are_left_alone(tmp_path: Path):
    for address in ("sqlite:///a.db", "auto", "local", "", "http://a:b"):
        assert list(job_settings(tmp_path, {"MLFLOW_TRACKING_URI": address, "RAY_ADDRESS": address})) == []


# What only shows when a job or a request meets it.
NOT_SEEN_BEFOREHAND = {
    "permission-errors-in-the-notebook",
    "the-experiment-was-deleted-in-mlflow",
    "another-job-does-the-same",
    "a-picture-is-refused",
    "another-servers-name",
}


def test_findings_lead_to_the_chapters_on_what_does_not_work():
    chapters = re.findall(r"^## (.+)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    headings = {re.sub(r"[^\w\- ]", "", chapter.lower()).replace(" ", "-") for chapter in chapters}
    assert {*Chapter, *NOT_SEEN_BEFOREHAND} == headings


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """Where nothing listens, on any port that a service has."""
    write_files(tmp_path / "secrets", all_secrets())
    free = {}
    for number in (5000, 8080, 8265, 9000):
        with socket.socket() as tried:
            tried.bind(("127.0.0.1", 0))
            free[number] = tried.getsockname()[1]
    return Here(root=tmp_path, secrets=tmp_path / "secrets", ports=free)


def test_a_port_that_something_else_has_is_found(here: Here):
    assert list(doctor.ports("local", here, {})) == []
    with socket.create_server(("127.0.0.1", here.ports[8080])):
        found = only(doctor.ports("local", here, {}))
        assert found.stops  # else `make up` fails after it has built the images
        assert f"port {here.ports[8080]}, which webapp needs" in found.what
        assert found.remedy.startswith(f"lsof -i :{here.ports[8080]}")
        assert list(doctor.ports("local", here, {"hm-mlflow-webapp": "Up 2 minutes (healthy)"})) == []
        stopped = {"hm-mlflow-webapp": "Exited (0) 2 hours ago"}
        assert only(doctor.ports("local", here, stopped)) == found, "it could not be started again"


@pytest.mark.parametrize("running", ["hm-mlflow-minio", "hm-mlflow-minio-1"], ids=["Pulumi", "Compose"])
def test_the_stack_s_own_object_store_is_nothing_else(here: Here, running: str):
    with socket.create_server(("127.0.0.1", here.ports[9000])):
        assert "which minio needs" in only(doctor.ports("local", here, {})).what
        assert list(doctor.ports("local", here, {running: "Up 2 minutes (healthy)"})) == []


def test_a_secret_that_is_missing_or_another_one_is_found(here: Here, monkeypatch):
    monkeypatch.setattr(stack, "read_setting", lambda *_: None)
    assert list(doctor.secrets("local", here)) == []
    token = here.secrets / "ray-token"
    monkeypatch.setattr(stack, "read_setting", lambda name, _: "another" if name == "rayToken" else None)
    assert only(doctor.secrets("local", here)).remedy == "make stack && make up"
    token.unlink()
    assert only(doctor.secrets("local", here)).remedy == "make secrets"


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"login": "true"}, "mlflow-admin-password"),
        ({"keys": "on"}, "api-keys"),
        ({"keys": "on"}, "jobs-api-key"),
        ({"dashboards": "true"}, "grafana-password"),
        ({"jupyter": "true"}, "jupyter-token"),
    ],
)
def test_a_secret_is_asked_for_where_the_settings_of_the_stack_need_it(
    here: Here, monkeypatch, settings: dict[str, str], needed: str
):
    (here.secrets / needed).unlink()
    monkeypatch.setattr(stack, "read_setting", lambda *_: None)
    monkeypatch.setattr(stack, "settings_of", lambda _: stack.described())
    assert list(doctor.secrets("local", here)) == []
    monkeypatch.setattr(stack, "settings_of", lambda _: stack.described() | settings)
    assert only(doctor.secrets("local", here)).what == f"compose/secrets/{needed} is missing or empty."


def test_with_everything_on_every_secret_that_is_made_is_asked_for(here: Here, monkeypatch):
    everything = {"login": "true", "keys": "on", "dashboards": "true", "jupyter": "true"}
    monkeypatch.setattr(stack, "settings_of", lambda _: stack.described() | everything)
    for file in here.secrets.iterdir():
        file.unlink()
    told = {found.what.split("/")[2].split()[0] for found in doctor.secrets("local", here)}
    assert told == {name for name in all_secrets() if not derived(name)}


def test_a_container_that_is_not_well_is_found_and_the_one_that_has_done_its_work_is_not():
    running = {
        "hm-mlflow-webapp": "Up 2 minutes (unhealthy)",
        "hm-mlflow-ray-worker-1": "Up 2 minutes (healthy)",
        "hm-mlflow-ray-worker-2": "Restarting (1) 4 seconds ago",
        "hm-mlflow-mlflow": "Up 2 minutes (healthy)",
        "hm-mlflow-secrets": "Exited (0) 3 minutes ago",
        "hm-mlflow-minio-buckets": "Exited (0) 3 minutes ago",
        "hm-mlflow-minio-buckets-1": "Exited (0) 3 minutes ago",  # as Compose calls it
    }
    page, worker = doctor.services("local", running)
    assert (page.chapter, worker.chapter) == (Chapter.UNHEALTHY, Chapter.STOPPED)
    assert page.remedy == "docker logs --tail 200 hm-mlflow-webapp, then: docker restart hm-mlflow-webapp"
    assert worker.remedy.startswith("docker logs --tail 200 hm-mlflow-ray-worker-2,")  # of several, this one


def test_containers_of_another_stack_are_not_this_one_s(monkeypatch: pytest.MonkeyPatch):
    there = ("hm-mlflow-webapp", "hm-mlflow-ray-worker-12", "hm-mlflow-secrets", "hm-mlflow-grafana-1")
    others = ("hm-mlflow-try-webapp", "hm-mlflow-try-minio-1", "another-hm-mlflow-webapp", "hm-mlflow-webapp-try")

    def docker(*words: str) -> subprocess.CompletedProcess[str]:
        """Its filter is a regular expression that is searched for in the name."""
        pattern = words[words.index("--filter") + 1].removeprefix("name=")
        found = "".join(f"{name}\tUp 2 minutes\n" for name in (*there, *others) if re.search(pattern, name))
        return subprocess.CompletedProcess(words, 0, stdout=found)

    monkeypatch.setattr(machine, "run", docker)
    assert tuple(doctor.containers("local")) == there
    assert tuple(doctor.containers("try")) == others[:2]


class Site(http.server.BaseHTTPRequestHandler):
    """MLflow and the page in one: what is in Production, and what the page answers with."""

    production, served = "3", 3

    def do_GET(self) -> None:
        answer: Any = {"version": self.served}
        if "registered-models" in self.path:
            assert self.headers["Authorization"].startswith("Basic ")
            answer = {"model_version": {"version": self.production}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """It is quiet."""


@pytest.fixture
def site(here: Here) -> Iterator[Here]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Here(root=here.root, secrets=here.secrets, ports={5000: server.server_port, 8080: server.server_port})
        server.shutdown()


def test_a_page_that_answers_with_another_version_than_the_one_in_production_is_found(site: Here, monkeypatch):
    assert list(doctor.alias(site)) == []
    monkeypatch.setattr(Site, "served", 2)
    assert only(doctor.alias(site)).what == "Version 3 is in Production, and the page answers with 2."


def test_a_bucket_that_is_not_there_is_found(aws_server: str, here: Here):
    at = Here(root=here.root, secrets=here.secrets, ports={9000: int(aws_server.rsplit(":", 1)[1])})
    (here.secrets / "object-store-credentials").write_text(
        "[default]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    s3 = boto3.client(
        "s3", endpoint_url=aws_server, region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
    )
    for bucket in ("data", "artefacts", "state"):
        s3.create_bucket(Bucket=f"hm-mlflow-doctor-{bucket}")
    assert list(doctor.buckets("doctor", at)) == []
    s3.delete_bucket(Bucket="hm-mlflow-doctor-state")
    assert only(doctor.buckets("doctor", at)).what.startswith("The bucket hm-mlflow-doctor-state does not answer")


def test_make_doctor_says_all_of_it_and_fails_where_make_up_would(commands: Path, here: Here, monkeypatch, capsys):
    monkeypatch.setattr("infra.local.secrets.FOLDER", here.secrets)
    monkeypatch.setattr("sys.argv", ["infra", "doctor", "local"])
    with pytest.raises(SystemExit, match="nothing was created"):
        main()
    told = capsys.readouterr().out
    assert "STOPS  The command docker is not on the PATH." in told
    assert "STOPS  The command pulumi is not on the PATH." in told
    assert not [name for name in lower(topology()).secrets if derived(name) and name in told]
    assert os.environ["PATH"] == str(commands)
