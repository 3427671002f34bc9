"""A replica in a process of its own, without Ray."""

import os
from pathlib import Path

import uvicorn

from registry.settings import Settings
from serve.api import create_app
from serve.metrics import Metrics
from serve.production.lookout import Lookout
from serve.production.model import Holder
from serve.production.rollout_follower import RolloutFollower
from serve.production.watcher import watch


def main(port: int, folder: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    settings, holder, metrics = Settings(), Holder(), Metrics()
    lookout = Lookout(settings)
    watch(holder, lookout, settings, metrics).start()
    RolloutFollower(
        holder, lookup=lambda: lookout.rollout, settings=settings, cache=folder / "candidate", metrics=metrics
    ).start()
    uvicorn.run(create_app(holder, settings=settings, metrics=metrics), port=port, log_level="error")
