"""Who may do a piece of work, on one machine and on a cluster."""

import subprocess
import sys

import pytest
import ray
from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT

from ray_jobs.runtime.cluster import AlreadyRunningError, cause_of, cpus, sole_owner
from registry.settings import ROOT, Settings


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


_AGENT = """
import ray
from ray_jobs.runtime.cluster import connect
connect(None)
print("agent", ray._private.worker._global_node.dashboard_agent_listen_port)
"""


def test_a_private_ray_leaves_the_port_by_which_jobs_are_taken_to_one_that_people_share():
    done = subprocess.run([sys.executable, "-c", _AGENT], cwd=ROOT, capture_output=True, text=True, check=True)
    port = int(done.stdout.split("agent ")[1])
    assert port not in (0, DEFAULT_DASHBOARD_AGENT_LISTEN_PORT)
