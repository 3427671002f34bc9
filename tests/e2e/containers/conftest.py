"""One stack for the tests of what a user starts, theirs alone, and taken down after them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from ray_jobs.dataset.sources import open_source
from registry.settings import Settings
from tests.e2e.containers import stack as whole
from tests.e2e.containers.jobs import submit

APP = "http://localhost:8080"
FIRST = "synthetic:300"


@pytest.fixture(scope="package")
def stack() -> Iterator[whole.Compose | whole.Pulumi]:
    """The stack, up and healthy, with no data in it at first."""
    if reason := whole.missing() or whole.in_the_way():
        pytest.skip(reason)
    made = whole.chosen()
    if isinstance(made, whole.Compose):
        made.down(keep_data=False)  # what an interrupted run left
    made.up()
    yield made
    made.down(keep_data=False)
    left = whole.containers() + whole.volumes()
    assert not left, f"{made.name} left {left}"


@dataclass
class Answer:
    """What one request got, and when it was sent."""

    sent: float
    status: int | str
    version: int | None


@dataclass
class Load:
    """A light, steady load of predictions, each recorded."""

    image: bytes
    address: str = APP

    def ask(self) -> Answer:
        """One prediction."""
        sent = time.monotonic()
        try:
            response = httpx.post(
                f"{self.address}/predict", content=self.image, headers={"content-type": "image/png"}, timeout=15
            )
        except httpx.HTTPError as error:
            return Answer(sent, type(error).__name__, None)
        version = response.json()["model"]["version"] if response.status_code == 200 else None
        return Answer(sent, response.status_code, version)

    @contextmanager
    def running(self) -> Iterator[list[Answer]]:
        """Ask four times a second; the list holds what was answered from now on."""
        answers: list[Answer] = []
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.25):
                answers.append(self.ask())

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield answers
        finally:
            stop.set()
            thread.join()


@pytest.fixture(scope="session")
def load() -> Load:
    """Requests with a generated X-ray."""
    source = open_source("synthetic:40")
    path = min(entry.path for entry in source.entries())
    return Load(source.read(path))


@pytest.fixture
def answering(stack: whole.Compose | whole.Pulumi, load: Load) -> int:
    """The version that the page answers with, beside X-rays in the bucket, whichever test comes first."""
    if not whole.object_store().list_objects_v2(Bucket=whole.bucket(stack, "data"))["KeyCount"]:
        whole.run(*stack.upload, f"DATA={FIRST}")
    if load.ask().status != 200:
        submit("python", "-m", "ray_jobs.train")
    return whole.wait_for(lambda: load.ask().version, "an answer")


@pytest.fixture
def registry(stack: whole.Compose | whole.Pulumi, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The stack's registry and state, as a person reaches them on this machine."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # what is away is told at once, and asked again
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(whole.SECRETS / "object-store-credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://localhost:9000")
    return Settings(mlflow_tracking_uri="http://localhost:5000", state_uri=f"s3://{whole.bucket(stack, 'state')}")
