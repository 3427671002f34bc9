"""What of a stack runs on this machine, as Docker tells it."""

import subprocess

from infra.local.container import volume_of
from infra.local.lower import lower
from infra.spec import Service
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
    listing = ["docker", "volume", "ls", "--quiet"]
    there = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    return sorted(known.intersection(there))


def containers_of(project: str, service: str) -> list[str]:
    """The containers of a service, however they were started: Pulumi and Compose number them differently."""
    listing = ["docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"name=^{project}-{service}(-[0-9]+)?$"]
    return sorted(subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split())  # noqa: S603
