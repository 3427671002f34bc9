"""The application in a real server on a free port, the processes of one on Ray, and a real browser to look at it."""

import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import psutil
import uvicorn
from fastapi import FastAPI

from tests.serve.support.waiting import until

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The address of an application, for as long as the block runs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def replicas() -> list[psutil.Process]:
    """The processes of the replicas that this process's Ray runs."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it may end meanwhile, or have ended and wait to be collected
            if any("ServeReplica:webapp" in part for part in process.cmdline()):
                found.append(process)
    return found


def served(url: str) -> list[int]:
    """The version of each replica; 0 where one has none yet."""
    try:
        # Without reading certificates, which takes 24 ms of a core: tests look often, beside a load.
        text = httpx.get(f"{url}/metrics", timeout=60, verify=False, trust_env=False).text
    except httpx.HTTPError:
        return []
    return [int(float(value)) for value in re.findall(r"^hm_serving_version(?:\{.*\})? (\S+)$", text, re.M)]


def whole(url: str, *, count: int) -> bool:
    """Whether every replica runs and serves: one that is still starting is in no account of Serve's."""
    versions = served(url)
    return len(replicas()) == len(versions) == count and 0 not in versions


@contextmanager
def chromium() -> Iterator[object]:
    """Debian's Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
