"""Stopping without losing a request: raise the flag, then wait until no replica has a request open.

Ray Serve ends its proxy first, and with it what is under way. So the starting process waits before it shuts Serve down.
It reads what the replicas have open from the files of their metrics and asks nobody over HTTP: a server that is too
busy to answer would look like one that is done.
"""

import time

from serve.http.draining import LOOK_S
from serve.metrics import SHOWN_S, open_requests
from serve.run_folder import RunFolder

# Until every replica has seen the flag, and has shown what it let in just before.
_SETTLED_S = 2 * (LOOK_S + SHOWN_S)


def drain(folder: RunFolder, *, seconds: float) -> bool:
    """Whether every request that was let in was answered within a time. No new one is let in from now on."""
    folder.stopping.touch()
    time.sleep(_SETTLED_S)
    end = time.monotonic() + seconds
    while open_requests(folder.metrics):
        if time.monotonic() >= end:
            return False
        time.sleep(LOOK_S)
    return True
