"""The servers that `benchmarks.serving` compares, each started as its users start it, with one worker, and logging.

Ours is also started with two replicas, as it is by default.

``python -m benchmarks.peers ours|bare PORT [--idle]`` runs one of them in the foreground.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import mlflow.pyfunc
import psutil
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from benchmarks.environments import ENVIRONMENTS, NotInstalledError, python_of, variables_of
from benchmarks.idle import MLFLOW_MODEL, IdleWebapp, do_nothing
from benchmarks.others.model import DIGEST_VARIABLE, FOLDER_VARIABLE
from benchmarks.report import processor_s
from registry.model.versions import fetch
from registry.production.current import production, required_production
from registry.settings import ROOT, Settings, load_settings
from serve.__main__ import end_session
from tests.serve.support.waiting import until

ENDS_WITHIN_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server that runs, and the address at which it answers pictures."""

    name: str
    url: str
    process: subprocess.Popen

    def processor_s(self) -> float:
        """Seconds of a core that all processes of the server have used."""
        return processor_s(psutil.Process(self.process.pid))


@contextmanager
def started(settings: Settings, scratch: Path, *, idle: bool, only: str = "") -> Iterator[dict[str, Peer]]:
    """Every contestant over the version in Production, or only one, until the block ends.

    Prints which are left out, and why.
    """
    ports = free_ports()
    peers: dict[str, Peer] = {}
    try:
        for name, (command, path, probe, variables) in _commands(
            settings, scratch, ports, idle=idle, only=only
        ).items():
            port = int(variables["PORT"])
            environment = {
                **os.environ,
                "MLFLOW_TRACKING_URI": settings.tracking_uri,
                "STATE_URI": str(scratch / f"state-{name}"),
                "MLFLOW_PORT": str(port + 1),
                "OMP_NUM_THREADS": "1",  # as Ray sets it for ours
                "PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}",
                **variables,
            }
            log = (scratch / f"{name}.log").open("wb")
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            address = f"http://127.0.0.1:{port}"
            peers[name] = Peer(name=name, url=f"{address}{path}", process=process)
            # One after another: Ray gives a node 30 seconds to start, and spins while it waits for it.
            until(lambda address=address, probe=probe: _answers(f"{address}{probe}"), seconds=240)
        yield peers
    finally:
        for peer in peers.values():
            if peer.process.poll() is None:
                os.killpg(peer.process.pid, signal.SIGTERM)
        for peer in peers.values():
            peer.process.wait(ENDS_WITHIN_S)
            end_session(peer.process.pid)


_Command = tuple[list[str], str, str, dict[str, str]]


def _commands(settings: Settings, scratch: Path, ports: Iterator[int], *, idle: bool, only: str) -> dict[str, _Command]:
    """What starts each contestant, the path that answers, the one that says that it is ready, and its variables."""
    hook = ["--idle"] if idle else []
    own = [sys.executable, "-m", "benchmarks.peers"]
    model = str(idle_model(scratch)) if idle else f"models:/{settings.model_name}@production"
    mlflow_ = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        model,
        "--env-manager",
        "local",
        "--workers",
        "1",
    ]
    found: dict[str, _Command] = {}
    kinds = (("shipped", "haproxy", "2"), ("haproxy", "haproxy", "1"), ("python", "python", "1"))
    for name, ingress, replicas in kinds:
        port = str(next(ports))
        variables = {"PORT": port, "SERVE_INGRESS": ingress, "SERVE_REPLICAS": replicas}
        found[name] = ([*own, "ours", port, *hook], "/predict", "/readyz", variables)
    if only in found:
        return {only: found[only]}
    port = str(next(ports))
    found["bare"] = ([*own, "bare", port, *hook], "/predict", "/docs", {"PORT": port})
    port = str(next(ports))
    found["mlflow"] = ([*mlflow_, "--port", port], "/invocations", "/ping", {"PORT": port})
    given = {} if idle else _bundle_in(settings, scratch / "bundle")
    for name in ENVIRONMENTS:
        try:
            python = str(python_of(name))
        except NotInstalledError as error:
            print(f"  {name} is left out, because it cannot be installed: {error}")
            continue
        port = str(next(ports))
        run, path, probe = OTHERS[name]
        found[name] = ([python, "-m", *run, port], path, probe, {"PORT": port, **given, **variables_of(name)})
    return found


# The module that is run and what comes before its port, the path that answers, and the one that says that it is ready.
OTHERS: dict[str, tuple[list[str], str, str]] = {
    "triton": (["benchmarks.others.with_triton"], "/v2/models/xray/infer", "/v2/models/xray/ready"),
    "litserve": (["benchmarks.others.with_litserve"], "/predict", "/health"),
    "bentoml": (
        ["bentoml", "serve", "benchmarks.others.with_bentoml:Xray", "--host", "127.0.0.1", "--port"],
        "/predict",
        "/readyz",
    ),
}


def _bundle_in(settings: Settings, folder: Path) -> dict[str, str]:
    """The version in Production as files, for servers that know no registry."""
    version = required_production(settings)
    fetch(settings, version, folder)
    return {FOLDER_VARIABLE: str(folder), DIGEST_VARIABLE: version.digest}


def free_ports() -> Iterator[int]:
    """Free ports, each with a free one after it, below those that a system, and so Ray, hands out by itself."""
    for port in range(21_000, 30_000, 10):
        with socket.socket() as one, socket.socket() as another:
            try:
                one.bind(("127.0.0.1", port))
                another.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        yield port


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def idle_model(scratch: Path) -> Path:
    """A model in MLflow's format with the signature of ours, which does nothing."""
    code = scratch / "idle_model.py"
    code.write_text(MLFLOW_MODEL)
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema([ColSpec(DataType.double, "probability"), ColSpec(DataType.string, "label")]),
    )
    mlflow.pyfunc.save_model(scratch / "idle", python_model=str(code), signature=signature, pip_requirements=["mlflow"])
    return scratch / "idle"


def bare_app() -> Any:
    """What somebody would write who wants the same answers from the same bundle and nothing else."""
    import cv2
    from fastapi import FastAPI, Request
    from starlette.concurrency import run_in_threadpool

    from serve.schemas import ModelReference, Prediction

    cv2.setNumThreads(1)  # as in ours: one picture a thread
    settings = load_settings()
    version = production(settings)
    if version is None:
        raise RuntimeError("no version is in Production")
    with tempfile.TemporaryDirectory() as folder:
        bundle = fetch(settings, version, Path(folder) / "bundle")
    model = ModelReference(name=version.name, version=version.version, run_id=version.run_id)
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> Prediction:
        answer = await run_in_threadpool(bundle.score, await request.body())
        request_id = uuid.uuid4().hex
        return Prediction(
            id=f"{request_id}.0",
            label=answer.label,  # type: ignore[arg-type]
            probability=answer.probability,
            threshold=bundle.threshold,
            model=model,
            request_id=request_id,
        )

    return app


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("who", choices=("ours", "bare"))
    parser.add_argument("port", type=int)
    parser.add_argument("--idle", action="store_true", help="swap the predictor for one that does nothing")
    options = parser.parse_args()
    if options.who == "bare":
        import uvicorn

        if options.idle:
            do_nothing()
        uvicorn.run(bare_app(), port=options.port)
        return 0
    from serve import app
    from serve.lifecycle import session

    if options.idle:
        app.Webapp = IdleWebapp
    return session.main(["--port", str(options.port)])


if __name__ == "__main__":
    sys.exit(main())
