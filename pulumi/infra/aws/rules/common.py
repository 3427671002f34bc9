"""What the rules share: comparing inputs with what they have to be, and the containers of a task."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.aws.graph import Graph
from infra.spec import Topology
from infra.topology import topology

Rule = Callable[[Graph], Iterator[str]]


def expect(where: str, found: Mapping[str, Any], **wanted: Any) -> Iterator[str]:
    """A line for each input that is another one; None stands for one that is not given."""
    for key, value in wanted.items():
        if found.get(key) != value:
            yield f"{where}: {key} is {found.get(key)!r}, not {value!r}"


def declared(graph: Graph) -> Topology:
    """The topology that the graph has to follow."""
    return topology(stack=graph.names.stack, **vars(graph.settings.options))


def is_hidden(graph: Graph) -> bool:
    """Whether services reach the outside without an address there."""
    endpoints = graph.of("ec2.VpcEndpoint").values()
    return bool(graph.of("ec2.NatGateway")) or any(one["vpcEndpointType"] == "Interface" for one in endpoints)


def containers(graph: Graph) -> dict[str, dict[str, dict[str, Any]]]:
    """The containers of each task definition by name."""
    return {
        name: {container["name"]: container for container in task["containerDefinitions"]}
        for name, task in graph.of("ecs.TaskDefinition").items()
    }


def each_container(graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every container, as `TASK/NAME`."""
    for task, inside in containers(graph).items():
        yield from ((f"{task}/{name}", container) for name, container in inside.items())


def environment(container: dict[str, Any]) -> dict[str, str]:
    """The variables of a container that are in the open."""
    return {variable["name"]: variable["value"] for variable in container.get("environment", [])}
