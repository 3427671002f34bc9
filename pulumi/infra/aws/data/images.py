"""Images: a repository each, and what is built and pushed there by this program, known by its digest."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

from infra.aws.names import Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.settings import ROOT
from infra.spec import Image, Topology

AMD64 = "linux/amd64"
PLATFORMS = {"X86_64": AMD64, "ARM64": "linux/arm64"}
_FOLDER = "compose/images"
_KEPT_VERSIONS = 10


def build(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups
) -> tuple[dict[str, aws.ecr.Repository], dict[str, pulumi.Output[str]]]:
    """Declare a repository and a build for each image; gives the repositories, and the images by their digests."""
    token = aws.ecr.get_authorization_token_output()
    registry = docker.RegistryArgs(
        server=token.proxy_endpoint, username=token.user_name, password=pulumi.Output.secret(token.password)
    )
    repositories = {image.name: _repository(image, names, settings, groups) for image in topology.images}
    digests = {
        image.name: _built(image, repositories[image.name], registry, settings, groups) for image in topology.images
    }
    return repositories, digests


def tag(image: Image, commit: str, platform: str = AMD64, root: Path = ROOT) -> str:
    """A tag that is another one whenever the image would be, so that Pulumi builds it anew."""
    content = hashlib.sha256(f"{commit} {image.target}{platform.removeprefix(AMD64)}".encode())
    for file in sorted(_context(root / _FOLDER / image.dockerfile, root)):
        content.update(f"{file.relative_to(root)} {file.stat().st_mode & 0o111:o}\n".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{commit[:12]}-{content.hexdigest()[:16]}"


def _context(dockerfile: Path, root: Path) -> Iterator[Path]:
    """The files that a build sees: our `.dockerignore` files leave everything out, then name what is let in."""
    yield dockerfile
    for line in dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text().split():
        if line.startswith("!"):
            there = root / line[1:]
            files = there.rglob("*") if there.is_dir() else [there]
            yield from (file for file in files if file.is_file() and not _LEFT_OUT & set(file.parts))


_LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}


def _repository(image: Image, names: Names, settings: AwsSettings, groups: Groups) -> aws.ecr.Repository:
    opts = groups.within("Image", image.name)
    repository = aws.ecr.Repository(
        image.name,
        name=f"{names.project}/{image.name}",
        # Containers run digests, so a tag decides nothing. After an interruption the same one is pushed once more, with
        # another digest, which a repository of immutable tags would refuse for ever.
        image_tag_mutability="MUTABLE",
        image_scanning_configuration={"scan_on_push": True},
        encryption_configurations=[{"encryption_type": "KMS"}],
        force_delete=not settings.protected,
        tags=names.tags(image.name),
        opts=opts,
    )
    aws.ecr.LifecyclePolicy(
        image.name,
        repository=repository.name,
        policy=json.dumps(
            {
                "rules": [
                    {
                        "rulePriority": 1,
                        "description": f"The {_KEPT_VERSIONS} newest, to go back to",
                        "selection": {
                            "tagStatus": "any",
                            "countType": "imageCountMoreThan",
                            "countNumber": _KEPT_VERSIONS,
                        },
                        "action": {"type": "expire"},
                    }
                ]
            }
        ),
        opts=opts,
    )
    return repository


def _built(
    image: Image,
    repository: aws.ecr.Repository,
    registry: docker.RegistryArgs,
    settings: AwsSettings,
    groups: Groups,
) -> pulumi.Output[str]:
    platform = PLATFORMS[settings.environment.architecture]
    build = docker.DockerBuildArgs(
        context=str(ROOT),
        dockerfile=str(ROOT / _FOLDER / image.dockerfile),
        builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
        platform=platform,
        target=image.target or None,
        args={"GIT_COMMIT": settings.commit} if image.target else None,
    )
    built = docker.Image(
        image.name,
        image_name=pulumi.Output.concat(repository.repository_url, ":", tag(image, settings.commit, platform)),
        build=build,
        registry=registry,
        opts=groups.within("Image", image.name),
    )
    return built.repo_digest
