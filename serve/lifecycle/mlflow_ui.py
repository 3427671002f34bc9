"""MLflow's own server over the local store, as a child process, so that its page stands beside ours."""

import http
import os
import signal
import subprocess
import sys
from pathlib import Path

from registry.addresses import database_file
from registry.settings import Settings
from serve.lifecycle.self_check import ask

HOST = "127.0.0.1"
_GRACE_S = 5.0


def wanted(settings: Settings) -> bool:
    """Whether the store is a local database, which has no page yet; a tracking server has its own."""
    return database_file(settings.tracking_uri) is not None


class MlflowUi:
    """The child process, from start to stop; it listens on loopback only."""

    def __init__(self, settings: Settings, log_file: Path) -> None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self.url = f"http://{HOST}:{settings.mlflow_port}"
        self.log_file = log_file
        with log_file.open("wb") as log:
            # In a session of its own: Ctrl-C in a terminal then reaches only us, and we stop it in order.
            self._process = subprocess.Popen(  # noqa: S603  our own command
                _command(settings),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(),
            )

    def answers(self) -> bool:
        """Whether its health check answers."""
        answer = ask(f"{self.url}/health")
        return answer is not None and answer[0] == http.HTTPStatus.OK

    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End it and the workers that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()


def _command(settings: Settings) -> list[str]:
    port = settings.mlflow_port
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", settings.tracking_uri),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        # Host headers are matched with their port; anything else may be another site's name bound to this address.
        *("--allowed-hosts", ",".join(f"{name}:{port}" for name in (HOST, "localhost"))),
        *("--cors-allowed-origins", ",".join(f"http://{name}:{port}" for name in (HOST, "localhost"))),
        *("--x-frame-options", "DENY"),
    ]


def _environment() -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return {**os.environ, **quiet}
