"""Pictures of one request that another replica answers: the same answers, and never more than it has time for."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from serve.http.uploads import Picture
from serve.inference.predictor import PictureResult, Predictor
from serve.inference.sharing import FEWEST, Part, SharedPredictor
from serve.load import Load
from serve.production.model import Holder, Served
from serve.schemas import Problem
from tests.serve.support.gate import Gate
from tests.serve.support.loop import run
from tests.serve.support.models import GeneratedXrays


@dataclass
class OneOther:
    """Another replica, in this process; it keeps what it was asked, and whether it took it."""

    replica: SharedPredictor
    count: int = 1
    asked: list[tuple[Part, bool]] = field(default_factory=list)

    async def answer(self, part: Part) -> list[PictureResult] | None:
        given = await self.replica.take(part)
        self.asked.append((part, given is not None))
        return given


@pytest.fixture
def pictures(training_set: GeneratedXrays) -> list[Picture]:
    images = [*training_set.images[:10], b"no picture", training_set.images[10]]
    return [Picture(data=image, filename=f"{number}.jpeg") for number, image in enumerate(images)]


@contextmanager
def two_replicas(
    served: Served, other_serves: Served | None, load: Load | None = None
) -> Iterator[tuple[SharedPredictor, OneOther]]:
    """A replica, and the other one that it asks, whose load may be given."""
    here, there = Predictor(Holder(served=served), threads=2), Predictor(Holder(served=other_serves), threads=2)
    other = OneOther(SharedPredictor(there, load or Load()))
    try:
        yield SharedPredictor(here, Load(), other), other
    finally:
        here.close()
        there.close()


def names(results: list[PictureResult]) -> list[str | None]:
    return [one.answer.filename if isinstance(one.answer, Problem) else one.answer["filename"] for one in results]


def test_two_replicas_give_the_answers_of_one_in_the_order_of_the_pictures(
    model: Served, pictures: list[Picture]
) -> None:
    with two_replicas(model, model) as (replica, other):
        together = run(replica.answer(model, pictures, "r-1"))
        alone = Predictor(Holder(served=model), threads=1)
        one_by_one = run(alone.answer(model, pictures, "r-1"))
        alone.close()
    assert names(together) == [picture.filename for picture in pictures]
    assert [one.outcome for one in together] == [one.outcome for one in one_by_one]
    assert [one.probability for one in together] == pytest.approx([one.probability for one in one_by_one])
    assert together[10].outcome == "unreadable"
    assert all(taken and part.request_id == "r-1" for part, taken in other.asked)
    # A quarter of what is left each time, of two replicas, the last ones first.
    assert names_of(other.asked[0][0]) == ["11.jpeg", "10.jpeg", "9.jpeg"]


def names_of(part: Part) -> list[str | None]:
    return [picture.filename for picture in part.pictures]


def test_few_pictures_stay_where_they_are(model: Served, pictures: list[Picture]) -> None:
    with two_replicas(model, model) as (replica, other):
        results = run(replica.answer(model, pictures[: FEWEST - 1], "r-1"))
    assert len(results) == FEWEST - 1
    assert other.asked == []


def test_a_replica_with_another_model_answers_nothing_and_is_asked_once(model: Served, pictures: list[Picture]) -> None:
    other_version = replace(model, version=replace(model.version, version=model.version.version + 1))
    other_files = replace(model, version=replace(model.version, digest="0" * 64))
    for serves in (None, other_version, other_files):
        with two_replicas(model, serves) as (replica, other):
            results = run(replica.answer(model, pictures, "r-1"))
        assert names(results) == [picture.filename for picture in pictures]
        assert [taken for _, taken in other.asked] == [False]


@pytest.mark.parametrize("level", ["requests_in_work", "pictures_in_work"])
def test_a_replica_with_work_of_its_own_answers_nothing_for_others(
    model: Served, pictures: list[Picture], level: str
) -> None:
    load = Load()
    getattr(load, level).add(1)
    with two_replicas(model, model, load) as (replica, other):
        results = run(replica.answer(model, pictures, "r-1"))
    assert names(results) == [picture.filename for picture in pictures]
    assert [taken for _, taken in other.asked] == [False]


def test_what_is_answered_for_others_counts_as_work(model: Served, pictures: list[Picture]) -> None:
    gate, load = Gate(model), Load()
    behind = replace(model, bundle=gate)  # type: ignore[arg-type]
    replica = SharedPredictor(Predictor(Holder(served=behind), threads=1), load)
    part = Part(pictures=pictures[:3], request_id="r-1", model=(model.version.version, model.version.digest))

    async def two_at_once() -> tuple[list[PictureResult] | None, list[PictureResult] | None, int]:
        first = asyncio.create_task(replica.take(part))
        await asyncio.to_thread(gate.entered.acquire, timeout=30)
        under_way, second = load.pictures_in_work.value, await replica.take(part)
        gate.open.set()
        return await first, second, under_way

    first, second, under_way = run(two_at_once())
    assert first is not None
    assert len(first) == under_way == 3
    assert second is None
    assert load.pictures_in_work.value == 0
