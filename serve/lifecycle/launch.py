"""Starting and stopping the application on a single-node Ray of its own, and checking first that it can."""

import errno
import logging
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from registry.addresses import url_here
from registry.process import traces
from registry.process.log_lines import formatter, take_from_libraries
from registry.process.private_ray import RayStartError, keep_private, start_private, with_own_agent_port
from registry.settings import Settings
from serve.http.keys import Keys, read_keys
from serve.lifecycle import haproxy, ray_messages, ray_proxy
from serve.lifecycle.drain import drain
from serve.lifecycle.log_collector import LogCollector
from serve.logs import chosen
from serve.run_folder import RunFolder

log = logging.getLogger(__name__)

_MIB = 2**20
_LAST_PORT = 65_535
DRAIN_S = 30.0
# Serve's own limit comes after ours (`serve.http.limits`), whose answer says more.
REQUEST_TIMEOUT_S = 60.0
# A socket's path has at most 107 bytes: this, our folder's name, a node's id, a name, and what HAProxy adds to it.
_LONGEST_TEMPORARY = 12
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
            remedy = f"Stop what uses the port, or choose another one: {variable}={_other_port(port)} make serve"
            if error.errno == errno.EACCES:
                remedy = f"Ports below 1024 are for the administrator; choose another one: {variable}=8080 make serve"
            elif error.errno != errno.EADDRINUSE:
                remedy = "The host, HTTP_HOST, must be an address of this machine, such as 127.0.0.1."
            raise StartError(
                f"{purpose} cannot listen on {in_brackets(host)}:{port} ({error.strerror or error}). {remedy}"
            ) from error


def _other_port(port: int) -> int:
    """A port beside another one."""
    return port + 1 if port < _LAST_PORT else port - 1


@dataclass(frozen=True, kw_only=True)
class RunningApplication:
    """The application and its Ray, and the folder that exists for as long as they run."""

    url: str
    own_key: str | None
    folder: RunFolder
    collector: LogCollector

    def answer(self) -> None:
        """Let replicas that wait for a first model answer without one."""
        self.folder.waiting.unlink(missing_ok=True)

    def stop(self) -> None:
        """Let what is under way be answered, then stop the application and its Ray."""
        import ray
        from ray import serve

        if ray.is_initialized():
            if not drain(self.folder, seconds=DRAIN_S):
                log.warning("Requests were still open after %g s; they are cut off.", DRAIN_S)
            ray_messages.mute()
            if not self.folder.waiting.exists():  # a replica that may still wait for a model would hold this up
                serve.shutdown()
            ray.shutdown()
        self.collector.stop()
        shutil.rmtree(self.folder.path, ignore_errors=True)


def start(settings: Settings, *, waiting: bool = False) -> RunningApplication:
    """Start Ray on this machine only, whatever RAY_ADDRESS names, and deploy the application on it.

    With `waiting` it returns before anything answers: replicas do so once they have a model, or are told to `answer`.
    """
    keys = read_keys(settings)
    keys, own_key = keys.with_own() if keys else (None, None)
    folder = RunFolder(new_folder())
    collector = LogCollector(folder.log_socket)
    running = RunningApplication(url=url_of(settings), own_key=own_key, folder=folder, collector=collector)
    if waiting:
        folder.waiting.touch()
    try:
        _deploy(settings, folder, keys, waiting=waiting)
    except BaseException:
        running.stop()
        raise
    return running


def new_folder() -> Path:
    """A folder whose path is short enough for the sockets in it, as Ray's own in /tmp is; TMPDIR may be anything."""
    short = len(tempfile.gettempdir()) <= _LONGEST_TEMPORARY
    return Path(tempfile.mkdtemp(prefix="hm-mlflow-", dir=None if short else "/tmp"))  # noqa: S108  a name of its own


def _deploy(settings: Settings, folder: RunFolder, keys: Keys | None, *, waiting: bool) -> None:
    form = chosen(settings.log_format)
    _prepare_environment(settings, folder)
    _start_ray(settings, log_to_driver=form == "text")  # with Ray's prefix a line would be no JSON
    from ray import serve
    from ray.serve.schema import TracingConfig

    from serve.app import build

    for handler in logging.getLogger("ray.serve").handlers:
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
        tracing_config=TracingConfig(
            enabled=settings.otel_exporter_otlp_endpoint is not None,
            exporter_import_path="registry.process.traces:span_processors",
            sampling_ratio=1.0,
        ),
    )
    for_replicas = settings.model_copy(update={"log_format": form, "api_keys": None})
    webapp = serve.RunTarget(build(for_replicas, folder, keys=keys), name="webapp", route_prefix="/")
    serve.run_many([webapp], wait_for_applications_running=not waiting)


def _prepare_environment(settings: Settings, folder: RunFolder) -> None:
    """Set what Ray and its processes read from the environment."""
    os.environ.update(ray_proxy.ENVIRONMENT)
    os.environ.update(traces.environment(settings, "webapp"))
    if haproxy.in_front(settings):
        os.environ.update(haproxy.environment(folder, settings.http_host))
    else:
        os.environ.pop("RAY_SERVE_ENABLE_HA_PROXY", None)  # of an earlier start
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A line a request and a page of Serve's own news would bury what the watcher says; Ray's log folder has them.
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    # To wait for a replica that stands still would keep those whose requests it holds waiting as well.
    os.environ.setdefault("RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS", "1")
    # Ray gives its workers the priority of batch work, 15. These answer people, so other programs, a training among
    # them, do not go before them.
    os.environ.setdefault("RAY_worker_niceness", "0")
    keep_private()


def _start_ray(settings: Settings, *, log_to_driver: bool) -> None:
    import ray  # it reads the environment as it is imported
    from ray._private.parameter import RayParams
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    take_from_libraries()

    def init() -> None:
        AuthenticationTokenLoader.instance().reset_cache()  # of a Ray that this process had before
        with with_own_agent_port(RayParams):
            ray.init(
                address="local",
                num_cpus=settings.most_replicas + 1,
                object_store_memory=OBJECT_STORE_BYTES,
                _plasma_directory=plasma_directory(),
                include_dashboard=False,
                logging_level=logging.WARNING,
                log_to_driver=log_to_driver,
            )

    try:
        start_private(init, forget=ray.shutdown, tell=log.warning)
    except RayStartError as error:
        raise StartError(str(error)) from error
    ray_messages.to_log()


def plasma_directory(shared: Path = Path("/dev/shm")) -> str | None:  # noqa: S108  as Ray
    """Where Ray's object store lies, None for shared memory, of which a container has less than the store takes.

    Ray would find that out by itself, and warn of a loss of speed that nobody has here: requests pass the store by.
    """
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > OBJECT_STORE_BYTES
    return None if roomy else tempfile.gettempdir()


def url_of(settings: Settings) -> str:
    """The address under which this machine reaches the application."""
    return url_here(settings.http_host, settings.http_port)


def in_brackets(host: str) -> str:
    """A host as it stands before a port: an IPv6 address has brackets."""
    return f"[{host}]" if ":" in host else host
