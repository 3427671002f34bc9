"""The Ray Serve deployment: binds the HTTP application and the model watcher to a replica, nothing more."""

import contextlib
import gc
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import cv2
from fastapi import FastAPI
from mlflow.exceptions import MlflowException
from ray import serve
from ray.serve import Application, Deployment
from ray.serve.schema import LoggingConfig

from registry.model.verified_cache import cache_folder
from registry.model.versions import aliased
from registry.process.threads import one_thread_from_now_on
from registry.settings import Settings
from registry.state import open_state
from serve.api import create_app
from serve.http.hosts import allowed_hosts
from serve.http.keys import Keys
from serve.http.limits import RequestLimits
from serve.inference.predictor import PictureResult
from serve.inference.recorder import PredictionRecorder
from serve.inference.sharing import Part
from serve.logs import chosen, set_up
from serve.metrics import FOLDER_VARIABLE, Metrics
from serve.other_replicas import OtherReplicas
from serve.production.lookout import Lookout
from serve.production.model import Holder
from serve.production.rollout_follower import RolloutFollower
from serve.production.watcher import watch
from serve.run_folder import RunFolder

# Beyond what our own admission control lets into work: uploads in progress are cheap, and a slow one must not keep
# others out. What exceeds even this, Serve refuses.
MAX_ONGOING_REQUESTS = 256
MAX_QUEUED_REQUESTS = 256
TARGET_ONGOING_REQUESTS = 4
GRACE_S = 30.0
FIRST_LOOK_S = 20.0
_LOOK_S = 0.5

# Uploads are few and large: given back to the system at once, they do not stay with the process as its peak.
_MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "1048576"}

# An MLflow server that is away must not hold the watcher for MLflow's own seven retries of two minutes.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@serve.ingress()
class Webapp:
    """One replica: a model holder, the watcher that keeps it current, and the application over both."""

    def __init__(self, settings: Settings, limits: RequestLimits, folder: RunFolder, keys: Keys | None) -> None:
        cv2.setNumThreads(1)  # the threads are ours: one picture each
        one_thread_from_now_on()
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        set_up(chosen(settings.log_format), folder.log_socket)
        self._settings = settings
        self._folder = folder
        self._keys = keys
        self._limits = limits
        self._holder = Holder()
        self._metrics = Metrics()
        self._recorder = (
            PredictionRecorder(partial(open_state, settings.state_uri), self._metrics)
            if settings.prediction_records == "on"
            else None
        )
        lookout = Lookout(settings)
        self._watcher = watch(self._holder, lookout, settings, self._metrics)
        self._rollouts = RolloutFollower(
            self._holder,
            lookup=lambda: lookout.rollout,
            settings=settings,
            cache=cache_folder(settings).with_name("candidate"),
            metrics=self._metrics,
        )
        # Modules are half a million objects that never go away; to look through them again would stop requests for
        # tens of milliseconds each time. What requests allocate is freed by its counts, so that looking can be rare.
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        # Serve sends requests once this returns: with a model, unless there is none and none is being trained.
        _wait_for_first(settings, folder)
        self._watcher.start()
        self._watcher.wait(FIRST_LOOK_S)
        self._rollouts.start()

    def __serve_build_asgi_app__(self) -> FastAPI:
        @asynccontextmanager
        async def watching() -> AsyncIterator[None]:
            try:
                yield
            finally:
                self._watcher.stop()
                self._rollouts.stop()
                for handler in logging.getLogger().handlers:
                    handler.flush()  # Ray ends a replica without the interpreter's own farewell

        self._app = create_app(
            self._holder,
            settings=self._settings,
            limits=self._limits,
            metrics=self._metrics,
            around=watching,
            behind_serve=True,
            stopping=self._folder.stopping,
            recorder=self._recorder,
            keys=self._keys,
            hosts=allowed_hosts(self._settings),
            others=OtherReplicas(others) if (others := self._settings.most_replicas - 1) else None,
        )
        return self._app

    async def take(self, part: Part) -> list[PictureResult] | None:
        """Answer some pictures of another replica's request, if there is nothing else to do here."""
        given: list[PictureResult] | None = await self._app.state.take(part)
        return given

    def check_health(self) -> None:
        """Raise, so that Serve replaces the replica, where the watcher has died."""
        if not self._watcher.alive:
            raise RuntimeError("The model watcher has stopped; this replica would never see a promotion.")


def _wait_for_first(settings: Settings, folder: RunFolder) -> None:
    """Wait, where a start is told to, until a first version is in Production, or nobody waits for one any more."""
    with contextlib.suppress(MlflowException, OSError, RuntimeError):  # the watcher tells what is wrong
        while folder.waiting.exists() and aliased(settings) is None:
            time.sleep(_LOOK_S)


def build(
    settings: Settings, folder: RunFolder, *, keys: Keys | None = None, limits: RequestLimits | None = None
) -> Application:
    """The application that `ray.serve.run` deploys; its replicas share a folder of this start for metrics and logs."""
    folder.metrics.mkdir()
    deployment: Deployment = serve.deployment(
        name="webapp",
        **_replicas(settings),
        ray_actor_options={
            "num_cpus": 1,
            "runtime_env": {"env_vars": {**_MEMORY, FOLDER_VARIABLE: str(folder.metrics)}},
        },
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        max_queued_requests=MAX_QUEUED_REQUESTS,
        graceful_shutdown_timeout_s=GRACE_S,
        # After three misses a replica that stands still is ended, before what it holds has waited for Serve's timeout.
        health_check_period_s=5,
        health_check_timeout_s=10,
        # Our log has a line for each request already; Serve would format its own line before it drops it.
        logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING"),
    )(Webapp)
    return deployment.bind(settings, limits or RequestLimits(), folder, keys)


def _replicas(settings: Settings) -> dict[str, Any]:
    """A fixed number, or Serve's own scaling by how many requests are under way a replica."""
    if settings.serve_max_replicas is None:
        return {"num_replicas": settings.serve_replicas}
    scaling = {
        "min_replicas": settings.serve_replicas,
        "max_replicas": settings.serve_max_replicas,
        "target_ongoing_requests": TARGET_ONGOING_REQUESTS,
    }
    return {"autoscaling_config": scaling}
