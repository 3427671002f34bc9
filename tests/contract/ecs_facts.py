"""What ECS is asked for, read back: each fact of a service from its task definition, its container and its service."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from infra.aws.compute.ecs import Supplied, container_definition, service_arguments, task_definition
from infra.aws.lower import NOTEBOOK, lower
from infra.aws.names import Names
from infra.spec import SECRETS, HealthCheck, Topology
from tests.contract.expected import KNOWN

Rendering = dict[str, dict[str, Any]]
NAMES = Names(project="hm-mlflow", stack="aws", environment="dev", account="123456789012", region="eu-west-1")


def lowered(topology: Topology) -> Topology:
    """The topology as ECS runs it, the notebook being SageMaker's."""
    return lower(topology, names=NAMES, replicas=2).with_only(frozenset())


def rendered(topology: Topology) -> Rendering:
    """Every service of it, as plain as JSON is."""
    whole = lowered(topology)
    assert NOTEBOOK not in {service.name for service in whole.services}
    supplied = {
        service.name: Supplied(
            image=f"id of {service.image}",
            user=whole.image(service.image).user,
            secrets={name: f"arn of {name}" for name in whole.secrets},
            log_group=NAMES.log_group(service.name),
            region=NAMES.region,
            known=KNOWN,
        )
        for service in whole.services
    }
    made = {
        service.name: {
            "task": task_definition(service, family=NAMES.of(service.name)),
            "container": container_definition(service, supplied[service.name]),
        }
        | ({} if service.once else {"service": service_arguments(service, name=NAMES.of(service.name))})
        for service in whole.services
    }
    return json.loads(json.dumps(made))


def _container(fact: Callable[[dict[str, Any]], Any]) -> Callable[[Rendering, str], Any]:
    return lambda rendering, service: fact(rendering[service]["container"])


def _environment(container: dict[str, Any]) -> dict[str, str]:
    pairs = [(variable["name"], variable["value"]) for variable in container.get("environment", [])]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def _secrets(container: dict[str, Any]) -> dict[str, str]:
    """As the images' entrypoint makes files of the variables."""
    return {
        f"{SECRETS}/{secret['name'].removeprefix('SECRET_').lower().replace('_', '-')}": secret[
            "valueFrom"
        ].removeprefix("arn of ")
        for secret in container.get("secrets", [])
    }


def _health(container: dict[str, Any]) -> HealthCheck | None:
    check = container.get("healthCheck")
    if check is None:
        return None
    kind, *words = check["command"]
    assert kind == "CMD"
    return HealthCheck(
        command=tuple(words),
        interval=check["interval"],
        timeout=check["timeout"],
        retries=check["retries"],
        start_period=check["startPeriod"],
    )


def _replicas(rendering: Rendering, service: str) -> int:
    return rendering[service]["service"]["desired_count"] if "service" in rendering[service] else 1


def _fargate(rendering: Rendering, service: str) -> dict[str, Any]:
    """What only ECS says, the rest of all three."""
    said = rendering[service]
    container = said["container"]
    return {
        "task": {key: value for key, value in said["task"].items() if key not in ("cpu", "memory")},
        "names": container["name"],
        "essential": container["essential"],
        "memory": container["memory"],
        "user": container["user"],
        "privileged": container["privileged"],
        "ports": [
            (port["name"], port["containerPort"], port["protocol"]) for port in container.get("portMappings", [])
        ],
        "scratch": [
            (one["containerPath"], one["size"], one["mountOptions"]) for one in container["linuxParameters"]["tmpfs"]
        ],
        "log": container["logConfiguration"],
        "service": {key: value for key, value in said.get("service", {}).items() if key != "desired_count"},
    }


FACTS: Mapping[str, Callable[[Rendering, str], Any]] = {
    "image name": _container(lambda container: container["image"].removeprefix("id of ")),
    "command": _container(lambda container: tuple(container.get("command", ()))),
    "environment": _container(_environment),
    "secrets": _container(_secrets),
    "health": _container(_health),
    "cpu": lambda rendering, service: int(rendering[service]["task"]["cpu"]),
    "memory": lambda rendering, service: int(rendering[service]["task"]["memory"]),
    "replicas": _replicas,
    "once": lambda rendering, service: "service" not in rendering[service],
    "stop timeout": _container(lambda container: container["stopTimeout"]),
    "init": _container(lambda container: container["linuxParameters"]["initProcessEnabled"]),
    "root read-only": _container(lambda container: container["readonlyRootFilesystem"]),
    "capabilities dropped": _container(lambda container: container["linuxParameters"]["capabilities"]["drop"]),
    "fargate": _fargate,
}

_ALL_PORTS = "a task has an address of its own: all ports stand in `fargate`, the public ones behind the load balancer"
_GROUPS = "security groups say who reaches whom: see tests/infra/aws/network/test_firewall.py"
NOT_SAID = {
    "image": "ECS knows an image by its digest: see `image name` and tests/infra/aws/data/test_images.py",
    "built": "see tests/infra/aws/data/test_images.py",
    "public ports": _ALL_PORTS,
    "private ports": _ALL_PORTS,
    "ready": "a container's health decides of its own replacement; ECS starts services without one another",
    "after": "services are created behind one another: see tests/infra/aws/test_stack.py; later each waits itself",
    "networks": _GROUPS,
    "kept": "Fargate keeps nothing; the lowering turns what is kept into scratch",
    "scratch": "ECS has sizes and no modes: see `fargate`",
    "user": "every image's own, said as a number: see `fargate`",
    "swap": "Fargate has none",
    "processes": "Fargate takes no such limit",
    "optional": "a service that is not wanted is left out before",
    "security": "Fargate takes no such option",
    "log": "see `fargate`",
    "needs": "see tests/infra/aws/test_stack.py",
    "outlives the stack": "see `data_are_not_lost_by_mistake` in pulumi/infra/aws/rules/stores.py",
    "replaced": "see `there_are_never_two_heads` in pulumi/infra/aws/rules/containers.py",
    "patience": "ECS waits for a steady state, and the breaker ends it",
    "follows its secrets": "a secret stands in a task definition by its version: see tests/infra/aws/test_stack.py",
    "secrets carrier": "ECS hands secrets over itself",
    "docker provider": "see tests/infra/aws/data/test_images.py",
}
