"""Stop this notebook instance when nobody has worked on it: `python3 stop_when_idle.py INSTANCE MINUTES`.

Runs on the instance's own Python, 3.9, without packages. A running cell is work however long it is silent; an open page
is not. Where Jupyter cannot be asked, the instance goes on.
"""

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path


def idle_seconds(now, started, kernels, terminals):
    """Seconds since somebody last did something here; 0 while a cell runs. Times in seconds since 1970."""
    if any(kernel["execution_state"] == "busy" for kernel in kernels):
        return 0.0
    return now - max([started, *(_seconds(thing["last_activity"]) for thing in (*kernels, *terminals))])


def _seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _asked(what):
    """An answer of Jupyter on this machine, whose certificate is its own."""
    trusting = ssl._create_unverified_context()  # noqa: S323
    address = os.environ.get("JUPYTER_URL", "https://localhost:8443")
    straight = urllib.request.ProxyHandler({})  # no proxy of the environment reaches this machine's own loopback
    opener = urllib.request.build_opener(straight, urllib.request.HTTPSHandler(context=trusting))
    with opener.open(f"{address}/api/{what}", timeout=20) as answer:
        return json.load(answer)


def main():
    """Ask, and stop."""
    instance, minutes = sys.argv[1], float(sys.argv[2])
    now = time.time()
    started = now - float(Path("/proc/uptime").read_text().split()[0])
    seconds = idle_seconds(now, started, _asked("kernels"), _asked("terminals"))
    if seconds < 60 * minutes:
        print(f"In use {seconds / 60:.0f} minutes ago; stops after {minutes:g}.")
        return
    print(f"Not used for {seconds / 60:.0f} minutes: stopping {instance}.")
    command = ["aws", "sagemaker", "stop-notebook-instance", "--notebook-instance-name", instance]
    subprocess.run(command, check=True)  # noqa: S603


if __name__ == "__main__":
    main()
