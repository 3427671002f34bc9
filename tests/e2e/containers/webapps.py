"""A second webapp beside that of a stack: on AWS there are several, and jobs find all of them under one name."""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.e2e.containers.stack import PROJECT, healthy, inspect, run, wait_for

_HOST = "localhost:8080"  # one of the names that it takes


@dataclass(frozen=True)
class Webapp:
    """The webapp in one container, asked past any other."""

    address: str

    def ask(self, image: bytes, request_id: str, **headers: str) -> httpx.Response:
        """One prediction."""
        given = {"Host": _HOST, "Content-Type": "application/octet-stream", "X-Request-ID": request_id, **headers}
        return httpx.post(f"{self.address}/predict", content=image, headers=given, timeout=60)

    def versions(self, image: bytes, ids: Iterable[str]) -> list[int]:
        """Which version answers each of some requests; a few at once, so that every replica gets some."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda name: self.ask(image, name).json()["model"]["version"], ids))

    def candidates(self) -> list[int]:
        """The version that each replica has beside Production, 0 for none."""
        text = httpx.get(f"{self.address}/metrics", headers={"Host": _HOST}, timeout=60).text
        return [int(float(value)) for value in re.findall(r"^hm_candidate_version(?:\{.*\})? (\S+)$", text, re.M)]


@contextmanager
def another_beside(container: str, **variables: str) -> Iterator[Webapp]:
    """One more webapp, healthy, like the one in a container, under the same name; `variables` differ."""
    like, name = inspect(container), f"{PROJECT}-webapp-beside"
    [network] = like["NetworkSettings"]["Networks"]
    environment = dict(variable.split("=", 1) for variable in like["Config"]["Env"]) | variables
    try:
        run(
            *("docker", "run", "--detach", "--name", name, "--network", network, "--network-alias", "webapp"),
            *("--init", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
            *(word for path, how in like["HostConfig"]["Tmpfs"].items() for word in ("--tmpfs", f"{path}:{how}")),
            *_kept_and_secrets(like["Mounts"]),
            *(word for variable in environment.items() for word in ("--env", "=".join(variable))),
            like["Image"],
        )
        wait_for(lambda: healthy(name), f"{name} healthy")
        yield webapp_in(name)
    finally:
        run("docker", "rm", "--force", "--volumes", name)


def webapp_in(container: str) -> Webapp:
    """The webapp in a container, at its own address."""
    [network] = inspect(container)["NetworkSettings"]["Networks"].values()
    return Webapp(f"http://{network['IPAddress']}:8080")


def _kept_and_secrets(mounts: list[dict]) -> Iterator[str]:
    """A new volume for each folder that is kept, and the same secrets."""
    for mount in mounts:
        place = mount["Destination"]
        if place.startswith("/run/secrets"):
            yield from ("--volume", f"{mount.get('Name') or mount['Source']}:{place}:ro")
        else:
            yield from ("--volume", place)
