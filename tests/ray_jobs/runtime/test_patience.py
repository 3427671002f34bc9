"""A job that waits says so and what for, so that nobody who follows its log is cut off."""

import time

import ray

from ray_jobs.runtime import patience
from ray_jobs.runtime.patience import gather, wait, waiting_for


@ray.remote
def after(seconds: float, answer: str) -> str:
    time.sleep(seconds)
    return answer


@ray.remote(num_cpus=2)
class Everything:
    """Whoever holds all cores."""

    def hold(self) -> None:
        """Answers once it does."""


def test_a_line_comes_while_no_task_ends(cluster, monkeypatch):
    holder = Everything.remote()
    ray.get(holder.hold.remote())
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 2:
            ray.kill(holder)

    monkeypatch.setattr(patience, "write_line", say)
    finished, rest = wait([after.remote(0, "done")], "sweep", every=0.1)
    assert (ray.get(finished), rest) == (["done"], [])
    assert len(said) >= 2
    assert set(said) == {"sweep: waiting for tasks; 1 run or wait for their turn, on 2 cores"}


def test_results_come_in_the_order_of_the_tasks(cluster):
    assert gather([after.remote(0.3, "slow"), after.remote(0, "fast")], "fit") == ["slow", "fast"]


def test_without_a_worker_it_says_that_one_has_to_come():
    said = waiting_for(1_200, 0)
    assert said.startswith("waiting for a first worker, with tasks: 1,200.")
    assert "ray start --address HOST:6379" in said
