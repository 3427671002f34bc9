"""How many workers a cluster's work would keep busy, and how its jobs are: `python -m ray_jobs.demand`, every minute.

On AWS it runs beside the head. The number of workers follows what it writes, and alarms look at it. Beside a worker it
runs with `--protect`, and ECS stops no worker while there is work. It asks the jobs API, by Python's own library only,
so that it takes next to no memory.
"""

import argparse
import json
import math
import os
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_EVERY_S = 60
_STRAIGHT = urllib.request.ProxyHandler({})  # no proxy reaches the head's own loopback
# Workers are kept through a pause of a job as long as this: a new one takes minutes to come.
_PAUSE_S = 15 * 60
_OPEN = ("PENDING", "RUNNING")
# What the exit code of a drift job says; any other is an error. `ray_jobs.drift` is too heavy to be imported here.
_DRIFT_JOB, _SAYS = "ray_jobs.drift", {0: 0, 3: 1}
_PROTECTED_MIN = 5


def wanted(status: dict[str, Any], slots: int) -> int:
    """Workers of so many slots each that the tasks which run or wait would keep busy, from the head's own report."""
    report = status["data"]["clusterStatus"]["loadMetricsReport"]
    used, _ = report["usage"].get("CPU", (0, 0))
    waiting = sum(shape.get("CPU", 0) * count for shape, count in report["resourceDemand"])
    return math.ceil((used + waiting) / slots)


def kept(before: int, recent: Sequence[int]) -> int:
    """The most that was wanted since work began, until none was for all that is recent: no worker goes under a job."""
    return max(before, recent[-1]) if any(recent) else 0


def jobs(listed: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many jobs have not ended, and with 1 or 0 whether the last `ray_jobs.drift` that has found drift.

    Without a drift job that said yes or no, it says nothing of drift.
    """
    of_drift = [one for one in listed if _DRIFT_JOB in one["entrypoint"] and one.get("driver_exit_code") in _SAYS]
    last = max(of_drift, key=lambda one: one["end_time"] or 0, default=None)
    found = {"jobs_open": sum(one["status"] in _OPEN for one in listed)}
    return found | ({"drift": _SAYS[last["driver_exit_code"]]} if last else {})


def protect(agent: str, *, busy: bool) -> None:
    """Tell ECS's agent whether the task that this runs in may be stopped; OSError where it refuses.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
    """
    # It ends by itself, so that a task whose head is gone can be replaced.
    body = {"ProtectionEnabled": busy} | ({"ExpiresInMinutes": _PROTECTED_MIN} if busy else {})
    request = urllib.request.Request(  # noqa: S310
        f"{agent}/task-protection/v1/state",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.build_opener(_STRAIGHT).open(request, timeout=10).close()


def ask(address: str, path: str = "/api/cluster_status?format=0") -> Any:
    """What the head answers; OSError where it does not."""
    token = os.environ.get("RAY_AUTH_TOKEN_PATH")
    headers = {"Authorization": f"Bearer {Path(token).read_text().strip()}"} if token else {}
    request = urllib.request.Request(f"{address}{path}", headers=headers)  # noqa: S310
    with urllib.request.build_opener(_STRAIGHT).open(request, timeout=10) as answer:
        return json.load(answer)


def main() -> None:
    """Ask and write, until it is stopped."""
    parser = argparse.ArgumentParser(prog="python -m ray_jobs.demand", description=__doc__)
    parser.add_argument("--address", default="http://127.0.0.1:8265", help="the jobs API (%(default)s)")
    parser.add_argument("--slots", type=int, default=2, help="slots of a worker (%(default)s)")
    parser.add_argument("--every", type=float, default=_EVERY_S, help="seconds (%(default)s)")
    parser.add_argument("--protect", action="store_true", help="let ECS stop this task only while there is no work")
    options = parser.parse_args()
    workers, recent = 0, deque[int](maxlen=max(1, round(_PAUSE_S / options.every)))
    while True:
        try:
            recent.append(wanted(ask(options.address), options.slots))
            workers = kept(workers, recent)
            if options.protect:
                protect(os.environ["ECS_AGENT_URI"], busy=workers > 0)
            others = {} if options.protect else jobs(ask(options.address, "/api/jobs/"))
            print(json.dumps({"workers_wanted": workers} | others), flush=True)
        except (OSError, LookupError, ValueError, TypeError) as error:  # the head is starting, or going
            print(f"demand: {options.address} did not say: {error!r}", file=sys.stderr, flush=True)
        time.sleep(options.every)


if __name__ == "__main__":
    main()
