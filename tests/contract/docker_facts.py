"""What Pulumi's Docker provider is asked for, read back: each fact of a service from the recorded resources."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infra.inputs import Hidden
from infra.settings import ROOT
from infra.spec import Image
from tests.contract.expected import CREDENTIALS
from tests.contract.units import health, scratch
from tests.infra.support.recorded import Stack

Resources = dict[str, dict[str, Any]]


def plain(stack: Stack) -> Resources:
    """The recorded resources as plain data, without the options that are not set."""
    return {
        str(resource): {"inputs": resource.inputs}
        | ({"needs": list(resource.needs)} if resource.needs else {})
        | ({"retained": True} if resource.retained else {})
        | ({"deleted first": True} if resource.deleted_first else {})
        for resource in stack.resources
    }


def _containers(resources: Resources, service: str) -> dict[str, dict[str, Any]]:
    found = {key: re.fullmatch(rf"Container hm-mlflow-{service}(-\d+)?", key) for key in resources}
    return {key: resources[key] for key in resources if found[key]}


def _each(fact: Callable[[Resources, dict[str, Any]], Any]) -> Callable[[Resources, str], Any]:
    """A fact that every replica has to agree on."""

    def agreed(resources: Resources, service: str) -> Any:
        first, *others = [fact(resources, container) for container in _containers(resources, service).values()]
        assert all(other == first for other in others)
        return first

    return agreed


def _input(fact: Callable[[dict[str, Any]], Any]) -> Callable[[Resources, str], Any]:
    return _each(lambda _, container: fact(container["inputs"]))


def _by_docker_name(resources: Resources, kind: str) -> dict[str, str]:
    """The names that Docker knows the resources of a kind by, and the keys of their resources."""
    return {resource["inputs"]["name"]: key for key, resource in resources.items() if key.startswith(f"{kind} ")}


def _image_inputs(resources: Resources, container: dict[str, Any]) -> dict[str, Any]:
    name = container["inputs"]["image"].removeprefix("id of ")
    [found] = [resources[key]["inputs"] for key in (f"Image {name}", f"RemoteImage {name}") if key in resources]
    return found


def _image(resources: Resources, container: dict[str, Any]) -> Image:
    inputs = _image_inputs(resources, container)
    if "build" not in inputs:
        return Image(name="", public=inputs["name"])
    return Image(
        name=inputs["imageName"].removeprefix("hm-mlflow/"),
        dockerfile=str(Path(inputs["build"]["dockerfile"]).relative_to(ROOT / "compose" / "images")),
        target=inputs["build"].get("target", ""),
    )


def _built(resources: Resources, container: dict[str, Any]) -> dict[str, Any] | None:
    build = _image_inputs(resources, container).get("build")
    if build is None:
        return None
    arguments = build.get("args")
    assert arguments is None or re.fullmatch("[0-9a-f]{40}|unknown", arguments["GIT_COMMIT"])
    return {"context": Path(build["context"]), "commit": arguments is not None}


def _provider(resources: Resources, container: dict[str, Any]) -> dict[str, Any]:
    inputs = _image_inputs(resources, container)
    flat = inputs | inputs.get("build", {})
    told_elsewhere = {"build", "name", "imageName", "context", "dockerfile", "target", "args"}
    return {key: value for key, value in flat.items() if key not in told_elsewhere}


def _secrets(resources: Resources, container: dict[str, Any]) -> dict[str, str]:
    """Through the volume that the carrier fills and the service mounts."""
    carrier = resources["Container secrets"]
    filled = {mount["volumeName"]: mount["containerPath"] for mount in carrier["inputs"]["volumes"]}
    found = {}
    for mount in container["inputs"]["volumes"]:
        if mount.get("readOnly") is True:
            assert _by_docker_name(resources, "Volume")[mount["volumeName"]] in carrier["needs"]
            folder = filled[mount["volumeName"]]
            for upload in carrier["inputs"]["uploads"]:
                if upload["file"].startswith(f"{folder}/") and upload["permissions"] == "0444":
                    found[mount["containerPath"] + upload["file"].removeprefix(folder)] = _secret(upload["content"])
    return found


def _label(resources: Resources, container: dict[str, Any]) -> str:
    """The text that follows what the secrets of a container say."""
    labels = container["inputs"].get("labels", [])
    assert [one["label"] for one in labels] == ["secrets"] * len(labels)
    return labels[0]["value"].value if labels else ""


def _secret(content: Any) -> str:
    assert isinstance(content, Hidden)
    if content.value == CREDENTIALS:
        return "object-store-credentials"
    return re.fullmatch("value of (.+)", content.value)[1]


def _carrier(resources: Resources, _: str) -> dict[str, Any]:
    carrier = resources["Container secrets"]
    return {
        **{key: value for key, value in carrier["inputs"].items() if key not in ("volumes", "uploads")},
        "needs": [need for need in carrier["needs"] if not need.startswith("Volume ")],
        "deleted first": carrier["deleted first"],
    }


def _ready(inputs: dict[str, Any]) -> str:
    told = (inputs["mustRun"], inputs["attach"], inputs["wait"])
    return {(False, True, False): "ended well", (True, False, True): "healthy", (True, False, False): "started"}[told]


def _after(resources: Resources, container: dict[str, Any]) -> dict[str, str]:
    waits = {need for need in container["needs"] if need.startswith("Container hm-mlflow-")}
    services = {resources[need]["inputs"]["networksAdvanced"][0]["aliases"][0] for need in waits}
    assert waits == {key for service in services for key in _containers(resources, service)}
    return {service: FACTS["ready"](resources, service) for service in services}


def _networks(resources: Resources, container: dict[str, Any]) -> dict[str, str]:
    known, on = _by_docker_name(resources, "Network"), {}
    for network in container["inputs"]["networksAdvanced"]:
        [on[known[network["name"]].removeprefix("Network ")]] = network["aliases"]
    return on


def _kept(resources: Resources, container: dict[str, Any]) -> dict[str, str]:
    known = _by_docker_name(resources, "Volume")
    mounts = [mount for mount in container["inputs"]["volumes"] if not mount.get("readOnly")]
    return {mount["containerPath"]: known[mount["volumeName"]].removeprefix("Volume hm-mlflow-") for mount in mounts}


def _outlives(resources: Resources, container: dict[str, Any]) -> set[str]:
    known = _by_docker_name(resources, "Volume")
    mounts = container["inputs"]["volumes"]
    return {mount["containerPath"] for mount in mounts if resources[known[mount["volumeName"]]].get("retained")}


def _public_ports(inputs: dict[str, Any]) -> dict[int, tuple[str, int]]:
    return {port["internal"]: (port["ip"], port["external"]) for port in inputs.get("ports", [])}


def _stop_timeout(inputs: dict[str, Any]) -> int:
    assert inputs["destroyGraceSeconds"] == inputs["stopTimeout"]
    return inputs["stopTimeout"]


def _processes(inputs: dict[str, Any]) -> int:
    [limit] = inputs["ulimits"]
    assert limit == {"name": "nproc", "soft": limit["hard"], "hard": limit["hard"]}
    assert limit["hard"] % 8 == 0  # room for eight containers of one user, whose processes the kernel counts together
    return limit["hard"] // 8


FACTS: Mapping[str, Callable[[Resources, str], Any]] = {
    "image": _each(_image),
    "built": _each(_built),
    "command": _input(lambda inputs: tuple(inputs.get("command", ()))),
    "environment": _input(lambda inputs: dict(text.split("=", 1) for text in inputs.get("envs", []))),
    "secrets": _each(_secrets),
    "public ports": _input(_public_ports),
    "health": _input(lambda inputs: health(inputs.get("healthcheck"), command="tests", start_period="startPeriod")),
    "ready": _input(_ready),
    "after": _each(_after),
    "networks": _each(_networks),
    "kept": _each(_kept),
    "scratch": _input(lambda inputs: dict(scratch(*folder) for folder in inputs["tmpfs"].items())),
    "user": _input(lambda inputs: inputs.get("user", "")),
    "cpu": _input(lambda inputs: inputs["cpuShares"]),
    "memory": _input(lambda inputs: inputs["memory"]),
    "swap": _input(lambda inputs: inputs["memorySwap"] - inputs["memory"]),
    "processes": _input(_processes),
    "replicas": lambda resources, service: sum(
        key == f"Container {container['inputs']['name']}" for key, container in _containers(resources, service).items()
    ),
    "once": _input(lambda inputs: {"no": True, "unless-stopped": False}[inputs["restart"]]),
    "stop timeout": _input(_stop_timeout),
    "init": _input(lambda inputs: inputs["init"]),
    "root read-only": _input(lambda inputs: inputs["readOnly"]),
    "capabilities dropped": _input(lambda inputs: inputs["capabilities"]["drops"]),
    "security": _input(lambda inputs: inputs["securityOpts"]),
    "log": _input(lambda inputs: {"driver": inputs["logDriver"], **inputs["logOpts"]}),
    "needs": _each(
        lambda _, container: {need for need in container["needs"] if not need.startswith("Container hm-mlflow-")}
    ),
    "outlives the stack": _each(_outlives),
    "replaced": _each(lambda _, container: "after the old one is gone" if container["deleted first"] else "before"),
    "patience": _input(lambda inputs: inputs["waitTimeout"]),
    "follows its secrets": _each(_label),
    "secrets carrier": _carrier,
    "docker provider": _each(_provider),
}

NOT_SAID = {
    "private ports": "a container's network lets every port through; the provider has no argument to list them",
    "optional": "a service that is not wanted is left out before: see tests/infra/local/test_stack.py",
    "image name": "the image says it",
    "fargate": "only ECS has it",
}
