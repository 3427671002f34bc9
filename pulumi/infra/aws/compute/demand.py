"""The program that knows how many workers the work would keep busy.

Beside the Ray head it says so, and `scaling` follows it; beside a worker it keeps ECS from stopping that meanwhile.
"""

from dataclasses import replace
from typing import Any

from infra.aws.compute.ecs import Supplied, container_definition
from infra.spec import Service

NAME = "demand"
MEMORY_MIB = 256  # it is one small Python
_TOKEN = "RAY_AUTH_TOKEN_PATH"  # noqa: S105  the name of a variable
_SECRET = "ray-token"  # noqa: S105  the name of a secret


def container(head: Service, worker: Service, supplied: Supplied) -> dict[str, Any]:
    """Its container, in the head's task. Where it ends, the head goes on, and the number of workers stays as it is."""
    return _beside(head, ("--slots", str(slots(worker))), supplied)


def protection(worker: Service, address: str, supplied: Supplied) -> dict[str, Any]:
    """Its container in a worker's task; `address` is the head's. Where it ends, the protection does within minutes."""
    return _beside(worker, ("--address", address, "--slots", str(slots(worker)), "--protect"), supplied)


def _beside(service: Service, arguments: tuple[str, ...], supplied: Supplied) -> dict[str, Any]:
    beside = replace(
        service,
        name=NAME,
        memory=MEMORY_MIB,
        command=("python", "-m", "ray_jobs.demand", *arguments),
        environment={_TOKEN: service.environment[_TOKEN]},
        secrets={_SECRET: service.secrets[_SECRET]},
        ports=(),
        health=None,
        scratch=(),
    )
    return container_definition(beside, supplied) | {"essential": False, "stopTimeout": 2}


def slots(worker: Service) -> int:
    """How many tasks a worker takes at once, as its command says."""
    option = "--num-cpus="
    [number] = [str(word).removeprefix(option) for word in worker.command if str(word).startswith(option)]
    return int(number)
