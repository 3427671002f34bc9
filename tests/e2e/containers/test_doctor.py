"""What `make doctor` says of containers that Docker itself finds unwell."""

from collections.abc import Iterator

import pytest

from infra.findings import Chapter
from infra.local import doctor, stores
from tests.e2e.containers.stack import missing, run, wait_for

# A stack that nobody has, so that no other one is in the way.
STACK, PREFIX = "doctor", "hm-mlflow-doctor-"
FAILING = ("--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1")
# What each is started with, and what it does.
STARTED = {
    "webapp": (FAILING, ("sleep", "600")),
    "ray-worker-1": (("--restart", "always"), ("false",)),
    "mlflow": ((), ("true",)),
    "ray-head": ((), ("sleep", "600")),
}


@pytest.fixture
def unwell() -> Iterator[None]:
    """Containers of a stack, of which one is well."""
    if reason := missing():
        pytest.skip(reason)
    image = stores.IMAGES[0].public
    try:
        for name, (options, command) in STARTED.items():
            run(
                *("docker", "run", "--detach", "--network", "none", "--name", f"{PREFIX}{name}", *options),
                *("--entrypoint", command[0], image, *command[1:]),
            )
        yield
    finally:
        run("docker", "rm", "--force", "--volumes", *(f"{PREFIX}{name}" for name in STARTED), check=False)


@pytest.mark.usefixtures("unwell")
def test_what_docker_tells_of_each_is_found_and_leads_to_its_chapter():
    expected = {
        f"{PREFIX}webapp": (Chapter.UNHEALTHY, "(unhealthy)."),
        f"{PREFIX}ray-worker-1": (Chapter.STOPPED, "Restarting (1)"),
        f"{PREFIX}mlflow": (Chapter.STOPPED, "Exited (0)"),
    }

    def found() -> dict[str, tuple[Chapter | None, str]]:
        findings = doctor.services(STACK, doctor.containers(STACK))
        return {finding.what.partition(" ")[0]: (finding.chapter, finding.what) for finding in findings}

    def all_are_told() -> bool:
        told = found()
        return told.keys() == expected.keys() and all(
            told[name][0] == chapter and words in told[name][1] for name, (chapter, words) in expected.items()
        )

    wait_for(all_are_told, "what is wrong with each", seconds=60)
