"""The collector of traces of the other tests, in a container beside those of a stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.collector import Collector
from tests.e2e.containers.stack import PROJECT, ROOT, inspect, run, wait_for

ENDPOINT = "http://collector:4317"
_FILE = "/tmp/spans"


@contextmanager
def collecting_beside(container: str) -> Iterator[str]:
    """The name of a container that collects traces at ENDPOINT, on the network and of the image of another one."""
    beside, name = inspect(container), f"{PROJECT}-collector"
    [network] = beside["NetworkSettings"]["Networks"]
    try:
        run(
            *("docker", "run", "--detach", "--name", name, "--network", network, "--network-alias", "collector"),
            *("--volume", f"{ROOT / 'tests' / 'collector.py'}:/app/tests/collector.py:ro", beside["Image"]),
            *("python", "-m", "tests.collector", _FILE, "0.0.0.0:4317"),
        )
        wait_for(lambda: run("docker", "logs", name).stdout, "the collector")
        yield name
    finally:
        run("docker", "rm", "--force", "--volumes", name)


def received(collector: str, folder: Path) -> Collector:
    """What a collector was sent so far."""
    file = folder / "spans"
    file.write_text(run("docker", "exec", collector, "cat", _FILE).stdout)
    return Collector(endpoint=ENDPOINT, file=file)
