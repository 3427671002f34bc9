"""Who may do a piece of work, and in what order Production changes; on one machine and on a cluster."""

import pytest
import ray

from ray_jobs.runtime.cluster import AlreadyRunningError, cause_of, cpus, in_turn, sole_owner
from registry.errors import PromotionError
from registry.settings import Settings


def refuse(number: int, *, why: str) -> int:
    if number < 0:
        raise PromotionError(f"{number} is refused: {why}")
    return 2 * number


@pytest.fixture(params=["one machine", "cluster"])
def anywhere(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    if request.param == "one machine":
        return settings
    request.getfixturevalue("cluster")
    return settings.model_copy(update={"ray_address": ray.get_runtime_context().gcs_address})


def test_the_same_work_is_refused_by_name_while_it_is_being_done(anywhere):
    with sole_owner("train-1", anywhere):
        with pytest.raises(AlreadyRunningError, match=r"same work \(train-1\) is being done by another job right now"):
            sole_owner("train-1", anywhere).__enter__()
        with sole_owner("train-2", anywhere):
            pass


def test_work_that_ended_or_failed_may_be_done_again(anywhere):
    with pytest.raises(ZeroDivisionError), sole_owner("train-3", anywhere):
        raise ZeroDivisionError
    with sole_owner("train-3", anywhere):
        pass


def test_a_change_in_turn_gives_its_result_and_its_error_as_if_made_here(anywhere):
    assert in_turn(anywhere.ray_address, refuse, 3, why="three") == 6
    with pytest.raises(PromotionError) as caught:
        in_turn(anywhere.ray_address, refuse, -1, why="below zero")
    assert str(caught.value) == "-1 is refused: below zero"


def test_an_error_on_a_worker_is_told_without_ray_s_traceback(cluster):
    @ray.remote
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk") as caught:
        ray.get(fail.remote())
    assert str(cause_of(caught.value)) == "the disk is full"
    assert "\n" in str(caught.value)  # which is what people would be shown otherwise
    assert cpus() == 2
