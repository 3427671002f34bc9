"""Docker on this machine: networks, volumes, images, secrets and containers, each waiting for what it needs."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from infra.groups import Groups
from infra.local.container import HARDENED_SECURITY, LOG_OPTIONS, native_platform, volume_of
from infra.local.docker import containers, secret_volume
from infra.local.lower import lower, networks
from infra.local.secrets import derived
from infra.local.settings import LocalSettings
from infra.settings import ROOT, read_secret
from infra.spec import Image, Service, Topology

_KEPT_IMAGE = "mlflow"  # any image with `true` in it


def build(topology: Topology, settings: LocalSettings) -> Topology:
    """Declare every resource of the topology; gives it back as containers, for the outputs."""
    whole = lower(topology)
    on = networks(whole)
    groups = Groups()
    nets = {
        name: docker.Network(name, name=f"{whole.project}-{name}", opts=groups.within("Network", "network"))
        for name in sorted({name for names in on.values() for name in names})
    }
    volumes = _volumes(whole, settings, groups)
    images = {image.name: _image(whole, image, settings, groups) for image in whole.images}
    secrets = _secrets(whole, images[_KEPT_IMAGE], groups)
    declared: dict[str, list[docker.Container]] = {}
    for service in whole.services:
        waits = [container for name in service.after for container in declared[name]]
        needs = [*waits, *(nets[name] for name in on[service.name]), *volumes.get(service.name, ())]
        declared[service.name] = [
            docker.Container(
                arguments["name"],
                **arguments,
                image=images[service.image],
                labels=_label(service),
                opts=groups.within(
                    "Service",
                    service.name,
                    depends_on=[*needs, *([secrets] if service.secrets else [])],
                    delete_before_replace=True,
                ),
            )
            for arguments in containers(whole, service, on[service.name])
        ]
    groups.close()
    return whole


def _volumes(topology: Topology, settings: LocalSettings, groups: Groups) -> dict[str, list[docker.Volume]]:
    return {
        service.name: [
            docker.Volume(
                name, name=name, opts=groups.within("Service", service.name, retain_on_delete=settings.keep_data)
            )
            for name in (f"{topology.project}-{volume_of(service, path)}" for path in service.kept)
        ]
        for service in topology.services
        if service.kept
    }


def _image(topology: Topology, image: Image, settings: LocalSettings, groups: Groups) -> pulumi.Output[str]:
    """The id of an image, so that a container is only replaced when the content is another one."""
    opts = groups.within("Image", image.name)
    if image.public:
        return docker.RemoteImage(image.name, name=image.public, keep_locally=True, opts=opts).image_id
    folder = Path("compose/images")
    build: dict[str, Any] = {
        "context": str(ROOT),
        "dockerfile": str(ROOT / folder / image.dockerfile),
        "builder_version": docker.BuilderVersion.BUILDER_BUILD_KIT,
        "platform": native_platform(),
    }
    if image.target:
        build |= {"target": image.target, "args": {"GIT_COMMIT": settings.commit}}
    built = docker.Image(
        image.name,
        image_name=f"{topology.project}/{image.name}",
        build=docker.DockerBuildArgs(**build),
        skip_push=True,
        opts=opts,
    )
    return built.repo_digest


def _secrets(topology: Topology, image: pulumi.Output[str], groups: Groups) -> docker.Container:
    """A container that only carries secrets into the volumes of their services, and ends.

    What it uploads is encrypted in the stack's state, and neither an inspection nor a log shows it.
    """
    owners = [service for service in topology.services if service.secrets]
    volumes = [
        docker.Volume(name, name=name, opts=groups.within("Service", owner.name))
        for owner in owners
        for name in [secret_volume(topology, owner)]
    ]
    return docker.Container(
        "secrets",
        name=f"{topology.project}-secrets",
        image=image,
        entrypoints=["true"],
        user="root",
        must_run=False,
        attach=True,
        memory=64,
        memory_swap=64,
        capabilities={"drops": ["ALL"]},
        security_opts=list(HARDENED_SECURITY),
        log_driver="json-file",
        log_opts=dict(LOG_OPTIONS),
        restart="no",
        network_mode="none",
        volumes=[
            {"volume_name": secret_volume(topology, owner), "container_path": f"/secrets/{owner.name}"}
            for owner in owners
        ],
        uploads=[
            {"file": f"/secrets/{owner.name}/{name}", "content": _content(name), "permissions": "0444"}
            for owner in owners
            for name in owner.secrets
        ],
        opts=groups.within("Secrets", "secrets", depends_on=volumes, delete_before_replace=True),
    )


def _label(service: Service) -> list[docker.ContainerLabelArgs]:
    """A text that follows what a service's secrets say, so that its container is made anew when one of them changes."""
    if not service.secrets:
        return []
    contents = pulumi.Output.all(*(_content(name) for name in sorted(service.secrets)))
    digest = contents.apply(lambda texts: sha256("\0".join(texts).encode()).hexdigest())
    return [docker.ContainerLabelArgs(label="secrets", value=digest)]


def _content(name: str) -> pulumi.Output[str]:
    source = derived(name)
    return read_secret(source[0]).apply(source[1]) if source else read_secret(name)
