"""Who may do a piece of work, on one machine and on a cluster."""

import pytest
import ray

from ray_jobs.runtime.cluster import AlreadyRunningError, cause_of, cpus, sole_owner
from registry.settings import Settings


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


def test_an_error_on_a_worker_is_told_without_ray_s_traceback(cluster):
    @ray.remote
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk") as caught:
        ray.get(fail.remote())
    assert str(cause_of(caught.value)) == "the disk is full"
    assert "\n" in str(caught.value)  # which is what people would be shown otherwise
    assert cpus() == 2
