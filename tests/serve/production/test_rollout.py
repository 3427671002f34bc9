"""Shadow and canary on real servers over a real registry: who answers, what is counted, and how it ends."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from ray_jobs.tracking.rollout_watch import TakenBackError, roll_out, stop_rollout
from registry.model.bundle import Bundle
from registry.model.verified_cache import VerifiedCache
from registry.model.versions import ModelVersion, client, tags_of, version_of
from registry.production.promotion import history, promote
from registry.production.rollout import begin_rollout, end_rollout, ending_of, running_rollout, takes
from registry.production.rollout_counts import read_counts
from registry.settings import Settings
from registry.state import open_state
from serve.api import create_app
from serve.metrics import Metrics
from serve.production.lookout import Lookout
from serve.production.model import Holder, Served, ServedCandidate
from serve.production.rollout_follower import RolloutFollower
from serve.production.watcher import Watcher
from tests.serve.support.live import running
from tests.serve.support.models import JPEG, Registry
from tests.serve.support.waiting import until

HOUR = timedelta(hours=1)


@pytest.fixture
def registry(registry_template: Registry, tmp_path: Path) -> Registry:
    """Version 1 in Production, in a copy of the database that is this test's alone."""
    registry = registry_template.copied(tmp_path, promoted_by="Ana Souza")
    promote(registry.settings, registry.versions[0], why="first")
    return registry


@dataclass
class Replica:
    """One server as a replica is: the application, and the two threads that follow."""

    url: str
    holder: Holder
    metrics: Metrics

    def ask(self, image: bytes, request_id: str, path: str = "/predict") -> httpx.Response:
        headers = JPEG | {"X-Request-ID": request_id, "Accept": "application/json"}
        return httpx.post(f"{self.url}{path}", content=image, headers=headers, timeout=60)

    def model(self) -> dict:
        return httpx.get(f"{self.url}/model").json()

    @property
    def has_candidate(self) -> bool:
        return self.holder.candidate is not None and self.holder.candidate.served is not None


@contextmanager
def replica(settings: Settings, folder: Path) -> Iterator[Replica]:
    holder, metrics, lookout = Holder(), Metrics(), Lookout(settings)
    watcher = Watcher(
        holder, lookup=lookout.wanted, cache=VerifiedCache(settings, folder / "serve"), metrics=metrics, poll_s=0.2
    )
    follower = RolloutFollower(
        holder,
        lookup=lambda: lookout.rollout,
        settings=settings,
        cache=folder / "candidate",
        metrics=metrics,
        poll_s=0.1,
        share_s=0.2,
    )
    watcher.start()
    follower.start()
    try:
        until(lambda: holder.served)
        with running(create_app(holder, settings=settings, metrics=metrics)) as url:
            yield Replica(url, holder, metrics)
    finally:
        watcher.stop()
        follower.stop()


class Broken:
    """A model that answers some pictures and breaks at others, as its golden pictures did not show."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def __getattr__(self, name: str):
        return getattr(self._bundle, name)

    def score(self, image: bytes):
        raise RuntimeError("it breaks")


def break_candidate(one: Replica) -> None:
    """Let the candidate of a replica break from now on."""
    candidate = one.holder.candidate
    assert candidate
    assert candidate.served
    broken = replace(candidate.served, bundle=Broken(candidate.served.bundle))  # type: ignore[arg-type]
    one.holder.candidate = replace(candidate, served=broken)


def versions_of(one: Replica, image: bytes, ids: list[str]) -> list[int]:
    return [one.ask(image, name).json()["model"]["version"] for name in ids]


def test_a_candidate_is_asked_nothing_more_once_its_end_is_known_even_while_its_follower_waits_for_the_store(
    registry: Registry, tmp_path: Path
) -> None:
    settings, holder = registry.settings, Holder()
    lookout = Lookout(settings)
    Watcher(holder, lookup=lookout.wanted, cache=VerifiedCache(settings, tmp_path / "serve")).step()
    record = begin_rollout(settings, registry.versions[1], share=0.5, lasts=HOUR, why="a test")
    lookout = Lookout(settings)
    lookout.wanted()
    follower = RolloutFollower(holder, lookup=lambda: lookout.rollout, settings=settings, cache=tmp_path / "candidate")
    follower.step()
    assert holder.served
    assert holder.candidate
    assert holder.candidate.runs_beside(holder.served)
    end_rollout(settings, record, kind="ended", why="enough", counts=None)
    assert holder.candidate.runs_beside(holder.served)  # nobody has looked
    lookout.wanted()
    assert not holder.candidate.runs_beside(holder.served)


def test_a_canary_answers_its_share_the_same_for_one_id_at_both_replicas_and_across_a_restart(
    registry: Registry, tmp_path: Path
) -> None:
    settings, image = registry.settings, registry.training_set.images[0]
    first, second = registry.versions[:2]
    ids = [f"patient-{number}" for number in range(40)]
    with replica(settings, tmp_path / "a") as a, ExitStack() as stack:
        b = stack.enter_context(replica(settings, tmp_path / "b"))
        canary = begin_rollout(settings, second, share=0.3, lasts=HOUR, why="a test")
        until(lambda: a.has_candidate and b.has_candidate)
        expected = [second.version if takes(canary, name) else first.version for name in ids]
        assert len(set(expected)) == 2
        assert versions_of(a, image, ids) == versions_of(b, image, ids) == expected
        taken = ids[expected.index(second.version)]
        assert a.ask(image, taken, "/explain").json()["model"]["version"] == second.version
        told = a.model()
        assert (told["version"], told["rollout"]["kind"], told["rollout"]["version"]) == (1, "canary", second.version)
        assert "In canary until" in httpx.get(f"{a.url}/?lang=en").text
        assert f"hm_candidate_version {float(second.version)}" in a.metrics.render().decode()
        mine = expected.count(second.version)
        state = open_state(settings.state_uri)
        until(lambda: read_counts(state, canary.id).candidate.answers == 2 * mine)
        stack.close()
        with replica(settings, tmp_path / "c") as c:  # b is gone, and another one comes
            until(lambda: c.has_candidate)
            assert versions_of(c, image, ids) == expected
            until(lambda: read_counts(state, canary.id).candidate.answers == 3 * mine)
            until(lambda: c.model()["rollout"]["numbers"]["rollout_candidate_pictures"] == 3 * mine)
            ended = stop_rollout(settings, second, why="seen enough")
            until(lambda: c.holder.candidate is None and a.holder.candidate is None)
            assert versions_of(c, image, [taken]) == [first.version]
    assert (ended.kind, ended.who, ended.ends) == ("ended", "Ana Souza", canary.number)
    assert f"candidate: {3 * mine} pictures" in ended.why
    run = client(settings).get_run(second.run_id).data.metrics
    assert run["rollout_candidate_pictures"] == 3 * mine
    assert tags_of(settings, second)["rollout"].startswith("ended at")


def test_a_shadow_is_asked_the_same_pictures_and_nobody_sees_its_answers(registry: Registry, tmp_path: Path) -> None:
    settings, second = registry.settings, registry.versions[1]
    with replica(settings, tmp_path / "a") as one:
        shadow = begin_rollout(settings, second, share=0, lasts=HOUR, why="a test")
        until(lambda: one.has_candidate)
        images = registry.training_set.images[:10]
        answers = [one.ask(image, f"id-{place}").json() for place, image in enumerate(images)]
        assert {answer["model"]["version"] for answer in answers} == {1}
        state = open_state(settings.state_uri)
        until(lambda: read_counts(state, shadow.id).candidate.pictures == len(images))
        counts = read_counts(state, shadow.id)
        candidate = one.holder.candidate
        assert candidate
        assert candidate.served
        unseen = [candidate.served.bundle.score(image) for image in images]
        labels = [answer.label for answer in unseen]
        assert counts.candidate.pneumonia == labels.count("PNEUMONIA")
        assert counts.production.pneumonia == sum(answer["label"] == "PNEUMONIA" for answer in answers)
        assert counts.pairs.same == sum(a == b["label"] for a, b in zip(labels, answers, strict=True))
        moved = sum(a.probability - b["probability"] for a, b in zip(unseen, answers, strict=True))
        assert counts.pairs.difference == pytest.approx(moved)
        break_candidate(one)
        assert one.ask(images[0], "again").status_code == 200
        until(lambda: read_counts(state, shadow.id).candidate.errors == 1)
        assert running_rollout(settings) == shadow  # a shadow that breaks harms nobody, and its numbers say it
        stop_rollout(settings, second, why="a test")


def test_a_canary_that_breaks_is_taken_back_and_no_client_misses_an_answer(registry: Registry, tmp_path: Path) -> None:
    settings, second, image = registry.settings, registry.versions[1], registry.training_set.images[0]
    with replica(settings, tmp_path / "a") as one:
        canary = begin_rollout(settings, second, share=0.5, lasts=HOUR, why="a test")
        until(lambda: one.has_candidate)
        break_candidate(one)
        answers = [one.ask(image, f"id-{number}") for number in range(60)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["model"]["version"] for answer in answers} == {1}
        until(lambda: ending_of(settings, canary))
        until(lambda: one.holder.candidate is None)
    ended = ending_of(settings, canary)
    assert ended
    assert (ended.kind, ended.to_version) == ("taken back", 1)
    assert ended.why.startswith("errors: ")
    assert ended.who.startswith("the rule, run by")
    assert tags_of(settings, second)["rollout"].startswith("taken back at")


def test_a_job_beside_a_canary_that_calls_everybody_ill_ends_with_code_3_and_the_reason(
    registry: Registry, tmp_path: Path
) -> None:
    settings, second = registry.settings, registry.versions[1]
    raised: list[TakenBackError] = []

    def job(version: ModelVersion) -> None:
        try:
            roll_out(settings, version, share=0.5, lasts=HOUR, why="a test", look_s=0.2)
        except TakenBackError as error:
            raised.append(error)

    with replica(settings, tmp_path / "a") as one:
        watching = threading.Thread(target=job, args=(second,))
        watching.start()
        until(lambda: one.has_candidate)
        candidate = one.holder.candidate
        assert candidate
        assert candidate.served
        ill = replace(candidate.served.bundle, threshold=0.0)
        one.holder.candidate = replace(candidate, served=replace(candidate.served, bundle=ill))
        for number in range(400):
            one.ask(registry.training_set.images[number % 20], f"id-{number}")
            if raised:
                break
        until(lambda: raised)
        watching.join(30)
    assert raised[0].exit_code == 3
    assert "labels: " in str(raised[0])


def test_a_candidate_that_serving_cannot_load_is_taken_back_with_the_reason(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.production.rollout_follower._REFUSED_S", 0.5)
    settings = registry.settings
    broken = registry.add_unchecked("refused-candidate", b"no estimator")
    with replica(settings, tmp_path / "a") as one:
        begin_rollout(settings, broken, share=0.5, lasts=HOUR, why="a test")
        until(lambda: running_rollout(settings) is None)
        until(lambda: one.holder.candidate is None)
        assert one.ask(registry.training_set.images[0], "after").json()["model"]["version"] == 1
    last = history(settings)[-1]
    assert (last.kind, last.to_version) == ("taken back", 1)
    assert "serving refuses it" in last.why


def test_the_end_of_its_time_is_recorded_by_serving_though_no_job_runs(registry: Registry, tmp_path: Path) -> None:
    settings, second = registry.settings, registry.versions[1]
    with replica(settings, tmp_path / "a") as a, replica(settings, tmp_path / "b"):
        shadow = begin_rollout(settings, second, share=0, lasts=timedelta(seconds=2), why="a test")
        until(lambda: ending_of(settings, shadow))
        until(lambda: a.holder.candidate is None)
    changes = history(settings)
    assert [change.kind for change in changes[-2:]] == ["shadow", "ended"]  # two replicas, and one record
    assert changes[-1].why.startswith("its time is over")


def test_a_candidate_that_becomes_production_or_is_overtaken_answers_nothing_as_a_canary_any_more(
    registry: Registry, tmp_path: Path
) -> None:
    settings, (_, second, third) = registry.settings, registry.versions[:3]
    image = registry.training_set.images[0]
    with replica(settings, tmp_path / "a") as one:
        canary = begin_rollout(settings, second, share=0.5, lasts=HOUR, why="a test")
        until(lambda: one.has_candidate)
        taken = next(f"id-{number}" for number in range(100) if takes(canary, f"id-{number}"))
        assert versions_of(one, image, [taken]) == [second.version]
        promote(settings, third, why="better")
        until(lambda: one.holder.served and one.holder.served.version == third)
        assert versions_of(one, image, [taken]) == [third.version]
        until(lambda: one.holder.candidate is None)


def test_copies_beyond_the_bound_are_dropped_and_counted_while_requests_are_in_work(
    registry: Registry, tmp_path: Path
) -> None:
    from serve.http.uploads import Picture
    from serve.inference.predictor import PictureResult
    from serve.inference.shadow import Shadow
    from serve.load import Load

    settings, second = registry.settings, registry.versions[1]
    shadow = begin_rollout(settings, second, share=0, lasts=HOUR, why="a test")
    bundle = VerifiedCache(settings, tmp_path / "cache").obtain(second)
    served = Served(version=version_of(settings, 2), bundle=bundle, since=datetime.now(UTC), source="registry")
    candidate, load, metrics = ServedCandidate(record=shadow, served=served), Load(), Metrics()
    queue = Shadow(load, metrics, most=3, most_bytes=10 * 2**20)
    picture = Picture(data=registry.training_set.images[0], filename=None)
    visible = PictureResult(answer={}, outcome="NORMAL", probability=0.1, seconds=0.01)
    load.pictures_in_work.add(1)
    queue.start()
    try:
        for _ in range(5):
            queue.offer(candidate, picture, visible)
        queue.offer(candidate, Picture(data=bytes(11 * 2**20), filename=None), visible)
        assert candidate.counts.dropped == 3
        assert candidate.counts.candidate.pictures == 0
        load.pictures_in_work.add(-1)
        until(lambda: candidate.counts.candidate.pictures == 3)
    finally:
        queue.stop()
    assert 'outcome="dropped"} 3.0' in metrics.render().decode()
