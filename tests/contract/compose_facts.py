"""A Compose file read back: each fact of a service from the document."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from infra.settings import ROOT
from infra.spec import Image
from tests.contract.units import health, mebibytes, scratch, seconds

Document = dict[str, Any]
_READY = {
    "service_completed_successfully": "ended well",
    "service_healthy": "healthy",
    "service_started": "started",
}


def _builder(document: Document, name: str) -> dict[str, Any]:
    """The service itself, or the one before it that builds the image which both use."""
    service = document["services"][name]
    alike = [other for other in document["services"].values() if other["image"] == service["image"]]
    assert all("build" not in other for other in alike[1:])  # built twice at once, an image would be two
    return service if service is alike[0] else service | {"build": alike[0]["build"]}


def _image(document: Document, service: dict[str, Any]) -> Image:
    if "build" not in service:
        return Image(name="", public=service["image"])
    return Image(
        name=service["image"].removeprefix(f"{document['name']}/"),
        dockerfile=str(PurePosixPath(service["build"]["dockerfile"]).relative_to("compose/images")),
        target=service["build"].get("target", ""),
    )


def _built(service: dict[str, Any]) -> dict[str, Any] | None:
    if "build" not in service:
        return None
    assert service["pull_policy"] == "never"  # no registry has what is built here
    arguments = service["build"].get("args")
    assert arguments in (None, {"GIT_COMMIT": "${GIT_COMMIT:-unknown}"})
    return {"context": Path(ROOT / "compose" / service["build"]["context"]).resolve(), "commit": arguments is not None}


def _secrets(document: Document, service: dict[str, Any]) -> dict[str, str]:
    files = {name: document["secrets"][name]["file"] for name in document["secrets"]}
    return {
        secret["target"]: files[secret["source"]].removeprefix("./secrets/") for secret in service.get("secrets", [])
    }


def _public_ports(service: dict[str, Any]) -> dict[int, tuple[str, int]]:
    ports = [port.split(":") for port in service.get("ports", [])]
    return {int(inside): (address, int(outside)) for address, outside, inside in ports}


def _kept(document: Document, service: dict[str, Any]) -> dict[str, str]:
    kept = dict(reversed(volume.split(":")) for volume in service.get("volumes", []))
    assert all(document["volumes"][name] is None for name in kept.values())
    return kept


def _networks(document: Document, name: str) -> dict[str, str]:
    on = document["services"][name]["networks"]
    assert all(document["networks"][network] is None for network in on)
    return dict.fromkeys(on, name)


def _optional(document: Document, name: str) -> str:
    [profile] = document["services"][name].get("profiles", [""])
    return profile


def _simple(fact: Callable[[dict[str, Any]], Any]) -> Callable[[Document, str], Any]:
    return lambda document, name: fact(document["services"][name])


FACTS: Mapping[str, Callable[[Document, str], Any]] = {
    "image": lambda document, name: _image(document, _builder(document, name)),
    "built": lambda document, name: _built(_builder(document, name)),
    "command": _simple(lambda service: tuple(service.get("command", ()))),
    "environment": _simple(lambda service: service.get("environment", {})),
    "secrets": lambda document, name: _secrets(document, document["services"][name]),
    "public ports": _simple(_public_ports),
    "private ports": _simple(lambda service: {int(port) for port in service.get("expose", [])}),
    "health": _simple(lambda service: health(service.get("healthcheck"), command="test")),
    "after": _simple(
        lambda service: {other: _READY[how["condition"]] for other, how in service.get("depends_on", {}).items()}
    ),
    "networks": _networks,
    "kept": lambda document, name: _kept(document, document["services"][name]),
    "scratch": _simple(lambda service: dict(scratch(*folder.split(":", 1)) for folder in service["tmpfs"])),
    "user": _simple(lambda service: service.get("user", "")),
    "cpu": _simple(lambda service: service["cpu_shares"]),
    "memory": _simple(lambda service: mebibytes(service["mem_limit"])),
    "swap": _simple(lambda service: mebibytes(service["memswap_limit"]) - mebibytes(service["mem_limit"])),
    "processes": _simple(lambda service: service["pids_limit"]),
    "replicas": _simple(lambda service: service.get("scale", 1)),
    "once": _simple(lambda service: {"no": True, "unless-stopped": False}[service["restart"]]),
    "optional": _optional,
    "stop timeout": _simple(lambda service: seconds(service["stop_grace_period"])),
    "init": _simple(lambda service: service["init"]),
    "root read-only": _simple(lambda service: service["read_only"]),
    "capabilities dropped": _simple(lambda service: service["cap_drop"]),
    "security": _simple(lambda service: service["security_opt"]),
    "log": _simple(lambda service: {"driver": service["logging"]["driver"], **service["logging"]["options"]}),
}

NOT_SAID = {
    "ready": "those that wait say what for: see after",
    "needs": "Compose makes networks, volumes and images first by itself",
    "outlives the stack": "volumes stay unless `docker compose down` is told otherwise",
    "replaced": "Compose stops a container before it starts its successor",
    "patience": "`docker compose up --wait` takes it as an argument",
    "follows its secrets": "a container reads them as it starts: `docker compose up --force-recreate`",
    "secrets carrier": "Compose mounts each secret's file itself",
    "docker provider": "it is Pulumi's",
    "image name": "the image says it",
    "fargate": "only ECS has it",
}
