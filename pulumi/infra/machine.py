"""What this machine lacks, for every stack: Docker and its platform, Pulumi and its plugins, disk, proxies."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from infra.findings import Chapter, Finding

# Images, their build cache and a stack's volumes, as measured on a machine that had nothing.
NEEDED_GB = 20
DOCKER_GIB = 8
_GIB = 2**30
_LOOPBACK = ("localhost", "127.0.0.1")
_WAIT_S = 30


def run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """What a command says; None where there is no such command, or it says nothing for half a minute."""
    try:
        return subprocess.run(  # noqa: S603
            list(command), capture_output=True, text=True, check=False, timeout=_WAIT_S
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None


def docker(*, platform: str = "", memory: bool = False) -> Iterator[Finding]:
    """Whether Docker answers, builds for a platform such as `linux/amd64`, and has memory enough for a whole stack."""
    if shutil.which("docker") is None:
        yield Finding(
            what="The command docker is not on the PATH.",
            remedy="install Docker (https://docs.docker.com/get-docker), or use `make run`, which needs none",
        )
        return
    asked = run("docker", "info", "--format", "{{json .}}")
    if asked is None or asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["no answer"])[-1] if asked else f"no answer within {_WAIT_S} s"
        yield Finding(
            what=f"Docker does not answer: {reason}",
            remedy="start Docker Desktop, or: sudo systemctl start docker && sudo usermod -aG docker $USER, then "
            "log in again",
        )
        return
    info = json.loads(asked.stdout)
    if memory and info.get("MemTotal", 0) < (DOCKER_GIB - 1) * _GIB:  # of 8 GiB a machine shows a little less
        yield Finding(
            what=f"Docker has {info.get('MemTotal', 0) / _GIB:.1f} GiB of memory; the stack needs about {DOCKER_GIB}.",
            remedy="Docker Desktop: Settings, Resources, Memory; WSL: memory=8GB below [wsl2] in .wslconfig",
            stops=False,
        )
    if platform:
        yield from _builds(platform)


def _builds(platform: str) -> Iterator[Finding]:
    asked = run("docker", "buildx", "inspect", "--bootstrap")
    if asked is None or asked.returncode:
        yield Finding(
            what="Docker has no buildx, which builds the images.",
            remedy="install the package docker-buildx-plugin (https://docs.docker.com/build/install-buildx)",
        )
    elif platform not in asked.stdout:
        yield Finding(
            what=f"Docker builds nothing for {platform}, on which the containers run.",
            remedy=f"docker run --privileged --rm tonistiigi/binfmt --install {platform.rsplit('/', 1)[-1]}",
        )


def pulumi(plugins: tuple[str, ...]) -> Iterator[Finding]:
    """Whether Pulumi is there, and the plugins of these providers in the versions that the program uses."""
    if shutil.which("pulumi") is None:
        yield Finding(
            what="The command pulumi is not on the PATH.",
            remedy="curl -fsSL https://get.pulumi.com | sh, and open a new terminal (https://www.pulumi.com/docs/install)",
        )
        return
    if shutil.which("pulumi-language-python") is None:
        yield Finding(
            what="Pulumi's plugin for Python is not on the PATH, which runs the program and its rules.",
            remedy='export PATH="$HOME/.pulumi/bin:$PATH", where the installer puts both commands',
        )
    asked = run("pulumi", "plugin", "ls", "--json")
    listed = json.loads(asked.stdout) if asked and asked.returncode == 0 and asked.stdout.strip() else []
    there = {(one["name"], str(one.get("version", "")).removeprefix("v")) for one in listed}
    for name in plugins:
        version = metadata.version(f"pulumi-{name}")
        if (name, version) not in there:
            yield Finding(
                what=f"Pulumi's plugin {name} {version} is not installed; the first `make up` fetches it.",
                remedy=f"pulumi plugin install resource {name} {version}",
                stops=False,
            )


def aws() -> Iterator[Finding]:
    """Whether the command aws is there in version 2, by which logs are shown and which the guide uses."""
    remedy = "install it (https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html)"
    if shutil.which("aws") is None:
        yield Finding(
            what="The command aws is not on the PATH; `make logs` and commands of the guide are its.",
            remedy=remedy,
            stops=False,
        )
    elif (asked := run("aws", "--version")) and "aws-cli/1." in asked.stdout + asked.stderr:
        yield Finding(
            what="The command aws is version 1, which has neither `aws sso login` nor `aws logs tail`, which is what "
            "`make logs` types.",
            remedy=remedy.replace("install it", "install version 2"),
            stops=False,
        )


def disk(folder: Path, *, needed_gb: float = NEEDED_GB) -> Iterator[Finding]:
    """Whether there is room for images and data, where a folder lies."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < needed_gb:
        yield Finding(
            what=f"{free:.0f} GB are free at {folder}; images and data need about {needed_gb:g}.",
            remedy="docker system prune, which removes stopped containers and unused images",
            stops=free < needed_gb / 4,
            chapter=Chapter.DISK,
        )


def proxies(environment: Mapping[str, str] = os.environ, *, direct: tuple[str, ...] = _LOOPBACK) -> Iterator[Finding]:
    """Whether a proxy stands between this machine and the hosts that have to be reached directly."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    named = [name for name in names if environment.get(name) or environment.get(name.upper())]
    apart = (environment.get("no_proxy") or environment.get("NO_PROXY") or "").split(",")
    lacking = [host for host in direct if host not in {one.strip() for one in apart} and "*" not in apart]
    if named and lacking:
        yield Finding(
            what=f"{' and '.join(named)} is set, and {', '.join(lacking)} would be asked through the proxy.",
            remedy=f"export no_proxy={','.join([*(one for one in apart if one), *lacking])}; export NO_PROXY=$no_proxy",
            stops=False,
        )
