"""Ray's messages about its own processes, as lines of our log; Ray would print them, which is not JSON."""

import logging
from typing import Any

log = logging.getLogger(__name__)


def to_log() -> None:
    """Log what Ray reports from now on. Call it after `ray.init`."""
    from ray._private import worker  # Ray has no public place for this

    log.setLevel(logging.NOTSET)
    worker.print_to_stdstream = _log


def mute() -> None:
    """Leave out what Ray reports while it is stopped: it complains of actors that end because we end them."""
    log.setLevel(logging.CRITICAL)


def _log(data: dict[str, Any], ignore_prefix: bool) -> None:  # noqa: ARG001  Ray gives it by name
    for message in data["lines"]:
        log.warning("Ray reports: %s", " ".join(str(message).split()))
