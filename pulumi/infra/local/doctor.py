"""What is wrong with the stack on this machine, or would be: `make doctor`."""

import configparser
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import machine, stack
from infra.findings import Chapter, Finding
from infra.local.job_settings import job_settings
from infra.local.lower import lower
from infra.local.running import filter_of
from infra.local.secrets import derived
from infra.local.stores import CREDENTIALS, OBJECT_STORE, bucket_name
from infra.secrets import setting
from infra.topology import project_of, topology

_PYTHON = ((3, 11), (3, 12))
_MLFLOW, _WEBAPP, _STORE = 5000, 8080, 9000
_MODEL, _ALIAS = "pneumonia", "production"
# The loopback is never asked through a proxy here; whether one is in the way of others is a check of its own.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_WAIT_S = 5


@dataclass(frozen=True, kw_only=True)
class Here:
    """Where things of this machine are: files, and the ports of services by number, which tests move elsewhere."""

    root: Path
    secrets: Path
    ports: Mapping[int, int]

    def url(self, port: int, path: str) -> str:
        """An address of a service on this machine."""
        return f"http://127.0.0.1:{self.ports.get(port, port)}{path}"


def examine(name: str, here: Here) -> list[Finding]:
    """Every finding, for `make run` and for the stack in Docker."""
    found = [*python(), *machine.disk(here.root), *machine.proxies(), *token(os.environ)]
    found += job_settings(here.root, os.environ)
    running = containers(name)
    found += machine.docker(memory=True)
    found += machine.pulumi(("docker",))
    found += ports(name, here, running)
    found += secrets(name, here)
    found += services(name, running)
    if _answers(here.ports.get(_WEBAPP, _WEBAPP)) and _answers(here.ports.get(_MLFLOW, _MLFLOW)):
        found += alias(here)
    if running:
        found += buckets(name, here)
    return found


def python(version: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    """Whether this Python runs the project."""
    if version not in _PYTHON:
        yield Finding(
            what=f"Python is {version[0]}.{version[1]}; the project runs on 3.11 and 3.12.",
            remedy="rm -rf .venv && make setup PYTHON=/path/to/python3.11",
        )


def token(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the variables of `make token` lead to a token."""
    path = environment.get("RAY_AUTH_TOKEN_PATH")
    if path and not (Path(path).is_file() and Path(path).read_text().strip()):
        yield Finding(
            what=f"RAY_AUTH_TOKEN_PATH is {path}, where no token is; Ray then refuses every command.",
            remedy='make stack && eval "$(make token)", or: unset RAY_AUTH_MODE RAY_AUTH_TOKEN_PATH',
            stops=False,
            chapter=Chapter.TOKEN,
        )


def ports(name: str, here: Here, running: Mapping[str, str]) -> Iterator[Finding]:
    """Whether something else listens where the services do, or would once their containers are started again."""
    up = [container for container, status in running.items() if status.startswith("Up")]
    services = [one for one in lower(topology()).services if not one.optional]
    wanted = {port.number: one.name for one in services for port in one.ports if port.public}
    for number, service in wanted.items():
        port = here.ports.get(number, number)
        if _answers(port) and not any(one.startswith(f"{project_of(name)}-{service}") for one in up):
            yield Finding(
                what=f"Something listens on port {port}, which {service} needs; it may be `make run`, `make serve` "
                "or another stack.",
                remedy=f"lsof -i :{port} and docker ps, and stop what they name",
                chapter=Chapter.PORT,
            )


def secrets(name: str, here: Here) -> Iterator[Finding]:
    """Whether the files of the secrets are there that the stack's settings need, and are those that the stack has."""
    if not here.secrets.is_dir():
        return  # `make up` and `make secrets` make them
    for secret in (one for one in _needed(name) if not derived(one)):
        file = here.secrets / secret
        if not file.is_file() or not file.read_text().strip():
            yield Finding(what=f"compose/secrets/{secret} is missing or empty.", remedy="make secrets", stops=False)
        elif _differs(name, secret, file.read_text()):
            yield Finding(
                what=f"compose/secrets/{secret} is not what the stack {name} has.",
                remedy="make stack && make up",
                stops=False,
            )


def _needed(name: str) -> tuple[str, ...]:
    """The secrets of what the settings turn on; without a stack, of what Compose starts by itself."""
    chosen = stack.settings_of(name)
    on = {option for option in ("login", "jupyter", "dashboards") if str(chosen[option]).lower() == "true"}
    keys = chosen["keys"] == "on"
    whole = topology(login="login" in on, keys=keys, dashboards="dashboards" in on)
    return lower(whole.with_only(frozenset(on))).secrets


def _differs(name: str, secret: str, text: str) -> bool:
    try:
        there = stack.read_setting(setting(secret), name)
    except stack.StackError:
        return False  # no Pulumi, as with Compose
    return there is not None and there != text.strip()


def services(name: str, running: Mapping[str, str]) -> Iterator[Finding]:
    """Whether every container that is there is up and healthy."""
    work_done_once = {"secrets", *(one.name for one in lower(topology()).services if one.once)}
    for container, status in running.items():
        if "unhealthy" in status or not status.startswith("Up"):
            service = container.removeprefix(f"{project_of(name)}-").rstrip("-0123456789")
            if service in work_done_once and status.startswith("Exited (0)"):
                continue
            yield Finding(
                what=f"{container} is not well: {status}.",
                remedy=f"docker logs --tail 200 {container}, then: docker restart {container}",
                stops=False,
                chapter=Chapter.UNHEALTHY if status.startswith("Up") else Chapter.STOPPED,
            )


def alias(here: Here) -> Iterator[Finding]:
    """Whether the page answers with the version that is in Production."""
    registry = f"/api/2.0/mlflow/registered-models/alias?name={_MODEL}&alias={_ALIAS}"
    try:
        meant = _ask(here.url(_MLFLOW, registry), _login(here))["model_version"]["version"]
    except (OSError, KeyError, ValueError):
        return  # no version is in Production, or MLflow is not for us
    try:
        served = str(_ask(here.url(_WEBAPP, "/model"), {})["version"])
    except (OSError, KeyError, ValueError) as error:
        served = f"nothing ({error})"
    if served != meant:
        yield Finding(
            what=f"Version {meant} is in Production, and the page answers with {served}.",
            remedy="wait ten seconds and ask again; then make logs SERVICE=webapp says why it was refused, and "
            "python -m ray_jobs.rollback --why TEXT puts the one before back",
            stops=False,
            chapter=Chapter.VERSION,
        )


def buckets(name: str, here: Here) -> Iterator[Finding]:
    """Whether the object store has the buckets."""
    import boto3  # noqa: PLC0415  heavy
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    keys = configparser.ConfigParser()
    keys.read(here.secrets / CREDENTIALS)
    if not keys.has_section("default"):
        return
    client = boto3.client(
        "s3",
        endpoint_url=here.url(_STORE, ""),
        region_name="us-east-1",
        aws_access_key_id=keys["default"]["aws_access_key_id"],
        aws_secret_access_key=keys["default"]["aws_secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=_WAIT_S, read_timeout=_WAIT_S, proxies={}),
    )
    for bucket in ("data", "artefacts", "state"):
        called = bucket_name(topology(stack=name), bucket)
        try:
            client.head_bucket(Bucket=called)
        except (BotoCoreError, ClientError) as error:
            yield Finding(
                what=f"The bucket {called} does not answer: {error}",
                remedy=f"make logs SERVICE={OBJECT_STORE}",
                stops=False,
                chapter=Chapter.PICTURES,
            )


def containers(name: str) -> dict[str, str]:
    """The status of each container of the stack."""
    form = "{{.Names}}\t{{.Status}}"
    asked = machine.run("docker", "ps", "--all", "--filter", filter_of(name), "--format", form)
    lines = asked.stdout.splitlines() if asked and asked.returncode == 0 else []
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        tried.settimeout(1)
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _login(here: Here) -> dict[str, str]:
    """The header of MLflow's administrator, where the stack has a login; MLflow takes no harm from it where not."""
    import base64  # noqa: PLC0415

    file = here.secrets / "mlflow-admin-password"
    if not file.is_file():
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'admin:{file.read_text().strip()}'.encode()).decode()}"}


def _ask(url: str, headers: Mapping[str, str]) -> Any:
    with _DIRECT.open(urllib.request.Request(url, headers=dict(headers)), timeout=_WAIT_S) as answer:  # noqa: S310
        return json.loads(answer.read())
