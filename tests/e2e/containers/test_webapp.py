"""Two webapps in containers: a canary over all of their replicas, and a request's way through one, in a trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_jobs.dataset.sources import open_source
from registry.production.current import production
from registry.production.rollout import ending_of, running_rollout, takes
from registry.production.rollout_counts import FOLDER, read_counts
from registry.settings import Settings
from registry.state import open_state
from tests.collector import OF_A_PICTURE, check_followed
from tests.e2e.containers.collector import ENDPOINT, collecting_beside, received
from tests.e2e.containers.jobs import begin, info, log
from tests.e2e.containers.stack import run, wait_for
from tests.e2e.containers.webapps import Webapp, another_beside, webapp_in

pytestmark = pytest.mark.timeout(2400)

REPLICAS = 2  # in each container
IDS = [f"patient-{number}" for number in range(60)]
# In a container, where the object store has the name by which MLflow sends whoever asks for files there.
_REGISTER_AGAIN = """
import sys
import tempfile
from pathlib import Path
from registry.model.bundle import write_bundle
from registry.model.versions import client, fetch, register, version_of
from registry.settings import load_settings
settings = load_settings()
version = version_of(settings, int(sys.argv[1]))
with tempfile.TemporaryDirectory() as scratch:
    bundle, changed = fetch(settings, version, Path(scratch) / "bundle"), Path(scratch) / "changed"
    write_bundle(
        changed,
        estimator=bundle.estimator,
        spec=bundle.spec,
        threshold=0.0,
        detector=bundle.detector,
        evaluation=bundle.evaluation,
        golden_images=[golden.image for golden in bundle.golden],
    )
    run = client(settings).create_run(version.experiment_id)
    print(register(settings, run_id=run.info.run_id, bundle_folder=changed).version)
"""
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector(stack) -> Iterator[str]:
    """The name of a container that collects what the second webapp sends."""
    with collecting_beside(stack.container("webapp")) as name:
        yield name


@pytest.fixture(scope="module")
def second(stack, collector: str) -> Iterator[Webapp]:
    """One more webapp, which sends traces."""
    with another_beside(stack.container("webapp"), OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT) as made:
        yield made


@pytest.fixture
def webapps(stack, second: Webapp, answering: int) -> list[Webapp]:
    """Both, when they answer with what is in Production."""
    both, image = [webapp_in(stack.container("webapp")), second], pictures()[0]
    for webapp in both:
        wait_for(lambda webapp=webapp: webapp.ask(image, "first").status_code == 200, "an answer of both")
        assert webapp.ask(image, "first").json()["model"]["version"] == answering
    return both


def pictures() -> list[bytes]:
    source = open_source("synthetic:40")
    return [source.read(entry.path) for entry in source.entries()]


def labelled(webapp: Webapp, label: str) -> bytes:
    """A picture that the model in Production has a label for."""
    return next(image for image in pictures() if webapp.ask(image, "which").json().get("label") == label)


def calling_everybody_ill(container: str, version: int) -> int:
    """The same model, registered again with a threshold that every probability reaches."""
    return int(run("docker", "exec", container, "entrypoint", "python", "-c", _REGISTER_AGAIN, str(version)).stdout)


def test_a_canary_goes_by_the_request_s_id_at_every_replica_of_every_container_until_its_rule_takes_it_back(
    stack, webapps: list[Webapp], registry: Settings, answering: int
):
    ill, normal = (labelled(webapps[0], label) for label in ("PNEUMONIA", "NORMAL"))
    candidate = calling_everybody_ill(stack.container("ray-head"), answering)
    job = begin("python", "-m", "ray_jobs.promote", str(candidate), "--canary", "50%")
    canary = wait_for(lambda: running_rollout(registry), "the canary on record")
    expected = [candidate if takes(canary, name) else answering for name in IDS]
    assert set(expected) == {candidate, answering}
    for webapp in webapps:
        wait_for(lambda webapp=webapp: webapp.candidates() == [candidate] * REPLICAS, "the candidate at each replica")

    for webapp in webapps:  # both versions call this one ill, so the rule has nothing to say yet
        assert webapp.versions(ill, IDS) == expected
    state = open_state(registry.state_uri)
    asked = len(webapps) * len(IDS)
    wait_for(lambda: sum(answers(state, canary.id)) == asked, "the counts of all replicas")
    assert answers(state, canary.id)[0] == len(webapps) * expected.count(candidate)
    assert len(state.names(state.path(FOLDER, canary.id))) == len(webapps) * REPLICAS, "a replica was asked nothing"
    assert running_rollout(registry) == canary

    def ended():
        for webapp in webapps:
            webapp.versions(normal, IDS)
        return ending_of(registry, canary)

    ending = wait_for(ended, "the end of the canary")
    assert (ending.kind, ending.to_version) == ("taken back", answering)
    assert ending.why.startswith("labels: ")
    assert ending.who.startswith("the rule, run by")
    done = wait_for(lambda: (found := info(job)).get("status") == "FAILED" and found, "the end of the job")
    assert done["driver_exit_code"] == 3
    told = log(job)
    assert f"of {len(webapps) * REPLICAS} replicas at http://webapp:8080 have it" in told
    assert ending.why in told
    for webapp in webapps:
        wait_for(lambda webapp=webapp: webapp.candidates() == [0] * REPLICAS, "no candidate at any replica")
        assert set(webapp.versions(normal, IDS)) == {answering}
    in_production = production(registry)
    assert in_production
    assert in_production.version == answering


def answers(state, rollout: str) -> tuple[int, int]:
    """How many answers of the candidate and of Production were counted."""
    counts = read_counts(state, rollout)
    return counts.candidate.answers, counts.production.answers


def test_a_request_to_a_container_is_followed_through_its_haproxy_to_the_descriptors(
    second: Webapp, webapps: list[Webapp], collector: str, tmp_path: Path
):
    answer = second.ask(pictures()[0], "mine-1", traceparent=f"00-{TRACE}-{CALLER}-01")
    assert answer.status_code == 200

    def all_of_it():
        spans = received(collector, tmp_path).of(TRACE)
        return spans if {*OF_A_PICTURE, "request", "haproxy"} <= set(spans) else None

    spans = wait_for(all_of_it, "the spans of the request")
    check_followed(spans, CALLER, "mine-1")
    assert received(collector, tmp_path).services == {"webapp"}
