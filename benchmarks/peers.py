"""The servers that `python -m benchmarks` compares, each started as its users start it, with one worker, and logging.

Ours is also started with two replicas, as it is by default.

``python -m benchmarks.peers ours|bare PORT [--idle]`` runs one of them in the foreground.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import psutil
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from benchmarks.environments import variables_of
from benchmarks.idle import MLFLOW_MODEL, IdleWebapp, do_nothing
from benchmarks.others.model import DIGEST_VARIABLE, FOLDER_VARIABLE
from benchmarks.processes import NotStartedError, begin, free_ports, stop, wait_for
from benchmarks.report import processor_s
from registry.model.versions import fetch
from registry.production.current import production, required_production
from registry.settings import ROOT, Settings, load_settings

STARTS_WITHIN_S = 240.0


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
def started(
    settings: Settings, scratch: Path, *, idle: bool, pythons: Mapping[str, Path] | None = None, only: str = ""
) -> Iterator[tuple[dict[str, Peer], dict[str, str]]]:
    """Every contestant over the version in Production, or only one, until the block ends.

    Of the servers that are not installed with the project, those whose Python is given. The second dictionary says of
    those that do not start, why; one of ours raises NotStartedError.
    """
    ports, peers, lost = free_ports(), dict[str, Peer](), dict[str, str]()
    given = {name: Path(python) for name, python in (pythons or {}).items()}
    try:
        for name, contestant in _contestants(settings, scratch, ports, idle=idle, only=only, pythons=given).items():
            command, log = [*contestant.command], scratch / f"{name}.log"
            environment = {
                **os.environ,
                "MLFLOW_TRACKING_URI": settings.tracking_uri,
                "STATE_URI": str(scratch / f"state-{name}"),
                "MLFLOW_PORT": str(contestant.port + 1),
                "OMP_NUM_THREADS": "1",  # as Ray sets it for ours
                "PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}",
                **contestant.variables,
            }
            process = begin(command, ROOT, environment, log)
            peers[name] = Peer(name=name, url=f"http://127.0.0.1:{contestant.port}{contestant.path}", process=process)
            # One after another: Ray gives a node 30 seconds to start, and spins while it waits for it.
            try:
                wait_for(process, contestant.port, contestant.probe, log, seconds=STARTS_WITHIN_S)
            except NotStartedError as error:
                if name in OURS:
                    raise
                lost[name] = str(error)
                stop(peers.pop(name).process)
        yield peers, lost
    finally:
        stop(*(peer.process for peer in peers.values()))


@dataclass(frozen=True, kw_only=True)
class _Contestant:
    """What starts it, its port, the path that answers, the one that says that it is ready, and its variables."""

    command: list[str]
    port: int
    path: str
    probe: str
    variables: dict[str, str] = field(default_factory=dict)


def _contestants(
    settings: Settings, scratch: Path, ports: Iterator[int], *, idle: bool, only: str, pythons: dict[str, Path]
) -> dict[str, _Contestant]:
    own, hook = [sys.executable, "-m", "benchmarks.peers"], ["--idle"] if idle else []
    found: dict[str, _Contestant] = {}
    for name, (ingress, replicas) in OURS.items():
        port = next(ports)
        variables = {"SERVE_INGRESS": ingress, "SERVE_REPLICAS": replicas}
        command = [*own, "ours", str(port), *hook]
        found[name] = _Contestant(command=command, port=port, path="/predict", probe="/readyz", variables=variables)
    if only:
        return {only: found[only]}
    port = next(ports)
    command = [*own, "bare", str(port), *hook]
    found["bare"] = _Contestant(command=command, port=port, path="/predict", probe="/docs")
    port = next(ports)
    model = str(idle_model(scratch)) if idle else f"models:/{settings.model_name}@production"
    how = ["--env-manager", "local", "--workers", "1", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, *how]
    found["mlflow"] = _Contestant(command=command, port=port, path="/invocations", probe="/ping")
    variables = {} if idle else _bundle_in(settings, scratch / "bundle")
    for name, python in pythons.items():
        port = next(ports)
        run, path, probe = OTHERS[name]
        command = [str(python), "-m", *run, str(port)]
        found[name] = _Contestant(
            command=command, port=port, path=path, probe=probe, variables=variables | variables_of(name)
        )
    return found


# How each of ours is put behind its proxy, and how many replicas it has.
OURS = {"shipped": ("haproxy", "2"), "haproxy": ("haproxy", "1"), "python": ("python", "1")}
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
