"""What a stack on this machine says when it is up: every address, and what to type next."""

from infra.spec import Topology


def outputs(topology: Topology, stack: str) -> dict[str, str | list[str]]:
    """An address for each service that can be reached from here, and the next commands."""
    addresses: dict[str, str | list[str]] = {
        service.name: f"http://localhost:{port.number}"
        for service in topology.services
        for port in service.ports
        if port.public
    }
    # By itself MLflow opens on a home page that shows nothing of the project.
    return addresses | {"mlflow": f"{addresses['mlflow']}/#/experiments", "next": _next(stack)}


def _next(stack: str) -> list[str]:
    of = "" if stack == "local" else f" STACK={stack}"
    return [
        f"make upload{of} DATA=FOLDER",
        f'eval "$(make token{of})"',
        ".venv/bin/ray job submit --address http://localhost:8265 -- python -m ray_jobs.train",
    ]
