"""A real MLflow server, registry and artefact store in one, behind a proxy that can be away, slow or forbidding."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from tests.serve.support.waiting import free_port, until

Part = Literal["registry", "store"]
Fault = Literal["away", "slow", "forbidding"]
_STORE = "/api/2.0/mlflow-artifacts/"
_SLOW_S = 5.0


class FaultProxy:
    """Hands requests on to a server, but for the parts of it that `faults` names."""

    def __init__(self, upstream: int) -> None:
        self.faults: dict[Part, Fault] = {}
        self._upstream = upstream
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                outer._answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  the server's own names

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        fault = self.faults.get("store" if _STORE in request.path else "registry")
        if fault == "away":
            request.close_connection = True
            return
        if fault == "forbidding":
            self._send(request, 403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "application/json")
            return
        if fault == "slow":
            time.sleep(_SLOW_S)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=60)
        try:
            upstream.request(request.command, request.path, body, headers)
            answer = upstream.getresponse()
            content, media_type = answer.read(), answer.getheader("Content-Type", "application/octet-stream")
        except OSError:
            request.close_connection = True
            return
        finally:
            upstream.close()
        self._send(request, answer.status, content, media_type)

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, content: bytes, media_type: str) -> None:
        with suppress(OSError):  # whoever asked may have given up
            request.send_response(status)
            request.send_header("Content-Type", media_type)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)


class MlflowServer:
    """`mlflow server` over a folder, which can be killed and started again; records and artefacts may be elsewhere."""

    def __init__(self, folder: Path, *, database: str | None = None, artifacts: str | None = None) -> None:
        self.folder, self.port = folder, free_port()
        self._database = database or f"sqlite:///{folder}/mlflow.db"
        self._artifacts = artifacts or str(folder / "artifacts")
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self._database]
        command += ["--artifacts-destination", self._artifacts]
        quick = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # nothing here uses those processes
        with (self.folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True, env=quick
            )
        try:
            until(self._healthy, seconds=120)
        except AssertionError:
            self.kill()
            raise

    def _healthy(self) -> bool:
        with suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def mlflow_behind_faults(folder: Path) -> Iterator[tuple[MlflowServer, FaultProxy]]:
    """The server and the proxy in front of it, for as long as the block runs."""
    server = MlflowServer(folder)
    proxy = FaultProxy(server.port)
    try:
        yield server, proxy
    finally:
        proxy.stop()
        server.kill()
