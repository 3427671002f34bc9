"""Starting and stopping the application on a single-node Ray of its own, and checking first that it can."""

import http.client
import json
import logging
import os
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.settings import Settings
from serve.http.draining import drain
from serve.http.keys import Keys, read_keys
from serve.lifecycle import haproxy
from serve.logs import Collector, chosen, formatter

log = logging.getLogger(__name__)

_LOOK_S = 0.25
_MIB = 2**20
LOG_SOCKET, STOPPING = "log", "stopping"
DRAIN_S = 30.0
OBJECT_STORE_BYTES = 100 * _MIB  # requests pass by without it; Ray's own least is 75 MiB


class StartError(RuntimeError):
    """The application cannot start; the message says what is in the way and what to do."""


def check_port(host: str, port: int, *, purpose: str, variable: str) -> None:
    """Raise StartError, naming the variable that moves it, where a port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"{purpose} cannot listen on {host}:{port} ({error.strerror or error}). "
                f"Stop what uses the port, or choose another one: {variable}={port + 1} make serve"
            ) from error


@dataclass(frozen=True, kw_only=True)
class RunningApplication:
    """The application and its Ray, and the folder that exists for as long as they run."""

    url: str
    own_key: str | None
    folder: Path
    collector: Collector

    def stop(self) -> None:
        """Let what is under way be answered, then stop the application and its Ray."""
        import ray
        from ray import serve

        if ray.is_initialized():
            if not drain(self.folder / STOPPING, self.url, key=self.own_key, seconds=DRAIN_S):
                log.warning("Requests were still open after %g s; they are cut off.", DRAIN_S)
            serve.shutdown()
            ray.shutdown()
        self.collector.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(settings: Settings) -> RunningApplication:
    """Start Ray on this machine only, whatever RAY_ADDRESS names, and deploy the application on it."""
    keys = read_keys(settings)
    keys, own_key = keys.with_own() if keys else (None, None)
    folder = Path(tempfile.mkdtemp(prefix="hm-mlflow-"))
    running = RunningApplication(
        url=url_of(settings), own_key=own_key, folder=folder, collector=Collector(folder / LOG_SOCKET)
    )
    try:
        _deploy(settings, folder, keys)
    except BaseException:
        running.stop()
        raise
    return running


def _deploy(settings: Settings, folder: Path, keys: Keys | None) -> None:
    form = chosen(settings.log_format)
    if settings.serve_ingress == "haproxy":
        os.environ.update(haproxy.environment(folder))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A line a request and a page of Serve's own news would bury what the watcher says; Ray's log folder has them.
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    # To wait for a replica that stands still would keep those whose requests it holds waiting as well.
    os.environ.setdefault("RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS", "1")
    # A token for the Ray that is started here is as it should be; Ray calls it a warning.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    import ray
    from ray import serve

    from serve.app import REQUEST_TIMEOUT_S, build

    replicas = settings.serve_max_replicas or settings.serve_replicas
    try:
        ray.init(
            address="local",
            num_cpus=replicas + 1,
            object_store_memory=OBJECT_STORE_BYTES,
            _plasma_directory=None if Path("/dev/shm").is_dir() else tempfile.gettempdir(),  # noqa: S108  Ray's default
            include_dashboard=False,
            logging_level=logging.WARNING,
            log_to_driver=form == "text",  # with Ray's prefix a line would be no JSON; our own come by the collector
        )
    except Exception as error:  # Ray raises a bare one where this machine is too busy, or its folder cannot be written
        brief = (str(error).splitlines() or [type(error).__name__])[0]
        raise StartError(f"Ray did not start on this machine: {brief} Its log folder says more; try again.") from error
    for name in ("ray", "ray.serve"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(formatter(form))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(
        proxy_location="HeadOnly",
        http_options={
            "host": settings.http_host,
            "port": settings.http_port,
            "request_timeout_s": REQUEST_TIMEOUT_S,
            "keep_alive_timeout_s": 65,
        },
    )
    told = settings.model_copy(update={"log_format": form, "api_keys": None})
    serve.run(build(told, folder, keys=keys), name="webapp", route_prefix="/")


def url_of(settings: Settings) -> str:
    """The address under which this machine reaches the application."""
    # Where it listens on every address, loopback is one of them.
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.http_host, settings.http_host)  # noqa: S104
    return f"http://{host}:{settings.http_port}"


def ask(url: str, *, key: str | None = None) -> tuple[int, dict[str, Any]] | None:
    """Status and JSON of an address, None where nothing answers."""
    request = urllib.request.Request(url, headers={"X-API-Key": key} if key else {})  # noqa: S310  our own address
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        try:
            return error.code, json.load(error)
        except ValueError:
            return error.code, {}
    except (OSError, ValueError, http.client.HTTPException):  # nobody, or somebody who speaks no HTTP
        return None


def wait_for(url: str, *, seconds: float, status: int = 200) -> bool:
    """Whether an address answers with a status within a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask(url)
        if answer and answer[0] == status:
            return True
        time.sleep(_LOOK_S)
    return False
