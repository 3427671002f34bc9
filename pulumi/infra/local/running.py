"""What of a stack runs on this machine, as Docker tells it."""

import os
import subprocess

from infra.local.container import volume_of
from infra.local.lower import lower
from infra.spec import Service
from infra.stack import StackError
from infra.topology import project_of, topology

# What Postgres's own programs, run in its container, are put behind: the password is there, and not every image lets
# them in without one.
LOGIN = """sh -c 'PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") exec "$0" "$@"'"""


def possible_services(stack: str) -> tuple[Service, ...]:
    """Every service that a stack can have, whatever its settings turn on."""
    return lower(topology(stack=stack, dashboards=True, retrain="weekly")).services


def filter_of(stack: str) -> str:
    """Docker's filter for the containers of a stack, and for none of another one, whose names may begin alike."""
    services = [one.name for one in possible_services(stack)]
    return f"name=^{project_of(stack)}-({'|'.join([*services, 'secrets'])})(-[0-9]+)?$"


def volumes_with_data(stack: str) -> list[str]:
    """Those volumes of a stack that outlive it, as far as they are there."""
    services = possible_services(stack)
    known = {f"{project_of(stack)}-{volume_of(service, path)}" for service in services for path in service.kept}
    return sorted(known.intersection(docker("volume", "ls", "--quiet").split()))


def project_here(stack: str) -> str:
    """What containers' names begin with: the Compose file is of the stack `local`, whatever name Compose was given."""
    return (os.environ.get("COMPOSE_PROJECT_NAME") if stack == "local" else None) or project_of(stack)


def containers_of(project: str, service: str) -> list[str]:
    """The containers of a service, however they were started: Pulumi and Compose number them differently."""
    chosen = f"name=^{project}-{service}(-[0-9]+)?$"
    return sorted(docker("ps", "--all", "--format", "{{.Names}}", "--filter", chosen).split())


def docker(*words: str) -> str:
    """What a command of Docker's prints; raises StackError where it is missing or its engine does not answer."""
    try:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise StackError("The command docker is not on the PATH; make doctor says what to do.") from None
    if done.returncode:
        raise StackError(f"Docker does not answer: {done.stderr.strip()}. make doctor says what to do.")
    return done.stdout
