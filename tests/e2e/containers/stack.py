"""A whole stack in containers, brought up as its user does: by Pulumi where that is there, otherwise by Compose."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[3]
NAME = "e2e"
PROJECT = f"hm-mlflow-{NAME}"
SECRETS = ROOT / "compose" / "secrets"
COMPOSE = ("docker", "compose", "--project-name", PROJECT, "--file", "compose/docker-compose.yaml")
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(SECRETS / "ray-token")}
PORTS = ("5000", "8080", "8265", "9000")


def run(*command: str, seconds: float = 600, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command at the root of the checkout; where it fails, its output is the message."""
    environment = os.environ | variables
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = 120) -> Any:
    """What `condition` gives as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:g} s")


class Compose:
    """The stack as `docker compose up` makes it."""

    name = "Compose"
    upload = ("make", "upload", "STACK=local")
    # The Compose file is of the stack `local`, and only the project's name is the test's.
    of_it = ("STACK=local", f"COMPOSE_PROJECT_NAME={PROJECT}")

    def up(self, *, workers: int = 1) -> str:
        run("make", "secrets")
        return run(*COMPOSE, "up", "--build", "--detach", "--wait", "--scale", f"ray-worker={workers}").stderr

    def down(self, *, keep_data: bool) -> None:
        run(*COMPOSE, "down", *(() if keep_data else ("--volumes",)))

    @contextmanager
    def with_optional(self, service: str) -> Iterator[None]:
        """The stack with one of its optional services, healthy, for as long as the block runs."""
        compose = (*COMPOSE, "--profile", service)
        try:
            run(*compose, "up", "--build", "--detach", "--wait", service)
            yield
        finally:
            run(*compose, "rm", "--stop", "--force", service)
            run("docker", "volume", "rm", "--force", f"{PROJECT}_{service}")  # a volume outlives its service

    def outputs(self) -> str:
        return run(*COMPOSE, "ps", "--all").stdout  # Compose tells no more of a stack

    def container(self, service: str) -> str:
        return f"{PROJECT}-{service}-1"


class Pulumi:
    """The stack as `pulumi up` makes it."""

    name = "Pulumi"
    upload = ("make", "upload", f"STACK={NAME}")
    of_it = (f"STACK={NAME}",)
    _passphrase: Mapping[str, str] = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(ROOT / ".local" / "pulumi" / "passphrase")}

    def up(self, *, workers: int = 1) -> str:
        run("make", "stack", f"STACK={NAME}")
        self.configure("workers", str(workers))
        self.configure("keepData", "true")  # what took the data away before may have left another value
        return run("make", "up", f"STACK={NAME}", seconds=1800).stdout

    def down(self, *, keep_data: bool) -> None:
        if not keep_data:
            self.configure("keepData", "false")
            run("make", "up", f"STACK={NAME}")
        run("make", "down", f"STACK={NAME}")

    def configure(self, key: str, value: str) -> None:
        run("pulumi", "config", "set", key, value, "--stack", NAME, **self._passphrase)

    @contextmanager
    def with_optional(self, service: str) -> Iterator[None]:
        """The stack with one of its optional services, healthy, for as long as the block runs."""
        self.configure(service, "true")
        try:
            run("make", "up", f"STACK={NAME}", seconds=1800)
            yield
        finally:
            self.configure(service, "false")
            run("make", "up", f"STACK={NAME}")
            run("docker", "volume", "rm", "--force", f"{PROJECT}-{service}")

    def outputs(self) -> str:
        """Everything that the stack tells, even what Pulumi would hide."""
        command = ("pulumi", "stack", "output", "--json", "--show-secrets", "--stack", NAME)
        return run(*command, **self._passphrase).stdout

    def container(self, service: str) -> str:
        return f"{PROJECT}-{service}" + ("-1" if service == "ray-worker" else "")


def missing() -> str | None:
    """Why containers cannot be tried on this machine, or None."""
    if not shutil.which("docker") or run("docker", "info", check=False).returncode:
        return "no Docker engine answers here"
    if run("docker", "compose", "version", check=False).returncode:
        return "docker has no compose plugin here"
    return None


def in_the_way() -> str | None:
    """Why no stack can be started beside what runs, or None."""
    needed = [f"--filter=publish={port}" for port in PORTS]
    if running := run("docker", "ps", "--quiet", *needed).stdout.split():
        return f"a stack is running here already ({len(running)} containers), on the ports that this one needs"
    return None


def chosen() -> "Compose | Pulumi":
    """Pulumi where its command and its Docker plugin are there."""
    if not shutil.which("pulumi"):
        return Compose()
    plugins = json.loads(run("pulumi", "plugin", "ls", "--json").stdout)
    return Pulumi() if any(plugin["name"] == "docker" for plugin in plugins) else Compose()


def inspect(container: str) -> dict[str, Any]:
    """What Docker knows of a container."""
    found: list[dict[str, Any]] = json.loads(run("docker", "inspect", container).stdout)
    return found[0]


def containers() -> list[str]:
    """The names of the stack's containers, ended ones too."""
    form = "{{.Names}}"
    return sorted(run("docker", "ps", "--all", "--filter", f"name=^{PROJECT}-", "--format", form).stdout.split())


def volumes() -> list[str]:
    """The names of the stack's volumes."""
    return sorted(run("docker", "volume", "ls", "--quiet", "--filter", f"name=^{PROJECT}").stdout.split())


def healthy(container: str) -> bool:
    """Whether a container runs and its health check passes."""
    state = inspect(container)["State"]
    return state["Running"] and state.get("Health", {}).get("Status") == "healthy"


def object_store() -> Any:
    """A client of the stack's object store."""
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(SECRETS / "object-store-credentials")
    session = boto3.session.Session()
    return session.client(
        "s3", endpoint_url="http://localhost:9000", region_name="us-east-1", config=Config(retries={"max_attempts": 8})
    )


def bucket(stack: Compose | Pulumi, name: str) -> str:
    """What a bucket of the topology is called in a stack."""
    return f"{PROJECT if isinstance(stack, Pulumi) else 'hm-mlflow'}-{name}"


def kill_main_process(container: str) -> None:
    """SIGKILL from the host: `docker kill` would cancel the restart policy."""
    pid = inspect(container)["State"]["Pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: inspect(container)["State"]["Pid"] not in (0, pid), f"a restart of {container}")
