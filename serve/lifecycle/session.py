"""What `python -m serve` runs: the page, the API and MLflow's own page on this machine, until interrupted."""

import argparse
import logging
import os
import signal
import sys
import threading

from registry.addresses import shown
from registry.model.pages import page_of_project
from registry.model.signing import try_keys
from registry.model.store import StoreError
from registry.model.versions import client
from registry.process.log_lines import Format
from registry.process.reach import UnreachableError
from registry.settings import LOCAL, Settings, SettingsError, load_settings
from registry.state import open_state
from serve.http.hosts import allowed_hosts
from serve.http.keys import read_keys
from serve.lifecycle import haproxy, launch, notices
from serve.lifecycle.mlflow_ui import HOST, MlflowUi, wanted
from serve.lifecycle.self_check import ask, wait_for
from serve.logs import chosen, set_up

log = logging.getLogger("serve")

_ALIVE_WITHIN_S = 90.0
_READY_WITHIN_S = 45.0
_MLFLOW_WITHIN_S = 60.0
_TRAINING_S = 0.5
_CHECK_S = 5.0
_MISSES = 6


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGUSR1, SIGINT or SIGTERM; 0 after any, 1 where it cannot start or cannot go on."""
    parser = argparse.ArgumentParser(prog="python -m serve", description=__doc__)
    parser.add_argument("--host", help="address to listen on (HTTP_HOST)")
    parser.add_argument("--port", type=int, help="port of the page and the API (HTTP_PORT)")
    parser.add_argument("--mlflow-port", type=int, help="port of MLflow's own page (MLFLOW_PORT)")
    # `serve.__main__` takes `--train`, which stands here for the help, and gives the process that it starts instead.
    parser.add_argument("--train", action="store_true", help="train on DATA_URI meanwhile, and answer with a model")
    parser.add_argument("--training", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(http_host=options.host, http_port=options.port, mlflow_port=options.mlflow_port)
    except SettingsError as error:
        form = chosen(os.environ.get("LOG_FORMAT", "auto"))  # which is one of the settings
        set_up(form)
        notices.failed(form, str(error))
        return 1
    form = chosen(settings.log_format)
    set_up(form)
    try:
        try_keys(settings)
        read_keys(settings)
        allowed_hosts(settings)
        haproxy.in_front(settings)
        open_state(settings.state_uri)  # a replica without it would end in a traceback of Ray
        _check_ports(settings)
        _check_tracking(settings)
        return _serve(settings, options.training)
    except (SettingsError, launch.StartError) as error:
        notices.failed(form, str(error))
        return 1


def _check_ports(settings: Settings) -> None:
    launch.check_port(settings.http_host, settings.http_port, purpose="The page and the API", variable="HTTP_PORT")
    if wanted(settings):
        if settings.http_port == settings.mlflow_port:
            raise launch.StartError(f"HTTP_PORT and MLFLOW_PORT are both {settings.http_port}; change one of them.")
        launch.check_port(HOST, settings.mlflow_port, purpose="MLflow's page", variable="MLFLOW_PORT")


def _check_tracking(settings: Settings) -> None:
    """Make a local database before anybody opens it; say at once that a server is away, which serving outlives."""
    try:
        client(settings)
    except (UnreachableError, StoreError) as error:
        log.warning("%s. Until then the last model that was verified here answers, if there is one.", error)


def _serve(settings: Settings, training: int | None) -> int:
    form = chosen(settings.log_format)
    stop = threading.Event()
    _on_signals(stop)
    telling = threading.Thread(target=_tell_at_once, args=(stop, form))
    telling.start()
    running = mlflow_ui = None
    try:
        notices.starting(form, training=training is not None)
        running = launch.start(settings, waiting=training is not None)
        if wanted(settings) and not stop.is_set():  # not before Ray, to which a slow machine would give too little then
            mlflow_ui = MlflowUi(settings, LOCAL / "logs" / "mlflow.log")
        _on_signals(stop)  # Ray puts its own in their place while it starts
        while training and _runs(training) and not stop.wait(_TRAINING_S):
            pass
        if not stop.is_set():
            _answer(running)
        mlflow_address = _mlflow_address(settings, mlflow_ui, stop)
        model = _which_version(running, stop)
        if not stop.is_set():
            notices.serving(form, page=running.url, mlflow=mlflow_address, model=model)
        return _watch_over(running.url, mlflow_ui, stop)
    finally:
        stop.set()
        telling.join()
        if running:
            running.stop()
        if mlflow_ui:
            mlflow_ui.stop()


def _tell_at_once(stop: threading.Event, form: Format) -> None:
    """Say that the server stops as soon as it is asked to: a start that is under way is completed before."""
    stop.wait()
    notices.stopping(form)


def _answer(running: launch.RunningApplication) -> None:
    running.answer()
    if not wait_for(f"{running.url}/healthz", seconds=_ALIVE_WITHIN_S):
        raise launch.StartError(
            f"Nothing answers at {running.url} after {_ALIVE_WITHIN_S:g} s. Ray's log folder says why."
        )


def _runs(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):  # the first is what `serve.__main__` sends
        signal.signal(number, lambda *_: stop.set())


def _mlflow_address(settings: Settings, mlflow_ui: MlflowUi | None, stop: threading.Event) -> str:
    """Where MLflow shows the runs of the project, once its page answers."""
    if mlflow_ui:
        for _ in range(int(_MLFLOW_WITHIN_S * 4)):
            if mlflow_ui.answers() or mlflow_ui.exit_code() is not None or stop.wait(0.25):
                break
        return page_of_project(mlflow_ui.url, settings)
    address = settings.mlflow_page_url or settings.tracking_uri
    return page_of_project(address, settings) if address.startswith("http") else shown(address)


def _which_version(running: launch.RunningApplication, stop: threading.Event) -> str:
    """Which version answers, or why none does."""
    detail = "no answer"
    for _ in range(int(_READY_WITHIN_S)):
        status, body = ask(f"{running.url}/model", key=running.own_key) or (0, {})
        if status == 200:
            failure = body.get("failure")
            note = f" {failure['detail']} {failure['remedy']}" if failure else ""
            return f"{body['name']} version {body['version']} answers.{note}"
        detail = body.get("detail", detail)
        if "Production" in detail or stop.wait(1):
            break
    return f"No model answers yet: {detail}"


def _watch_over(url: str, mlflow_ui: MlflowUi | None, stop: threading.Event) -> int:
    """Wait for a signal; log it when MLflow's page ends, and return when the application itself no longer answers."""
    misses, parent = 0, os.getppid()
    while not stop.wait(_CHECK_S):
        if os.getppid() != parent:
            return 1  # the parent, which hands signals on, has ended
        if mlflow_ui and mlflow_ui.exit_code() is not None:
            log.warning(
                "MLflow's page ended with code %s. The page and the API go on without it. Its log is %s.",
                mlflow_ui.exit_code(),
                mlflow_ui.log_file,
            )
            mlflow_ui = None
        misses = 0 if ask(f"{url}/healthz") else misses + 1
        if misses >= _MISSES:
            log.error("The application no longer answers, so this process stops. Start it again with `make serve`.")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
