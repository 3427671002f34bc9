"""What the jobs share at the command line: the settings that arguments override, and errors that people can read."""

import _thread
import argparse
import atexit
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Literal, NoReturn

import ray

from ray_jobs.runtime.cluster import cause_of, reach_cluster
from registry.errors import FixableError
from registry.model.signing import try_keys
from registry.process.log_lines import formatter, is_json, take_the_log
from registry.process.raw_lines import take_standard_error
from registry.process.reach import reach_s3, reach_tracking
from registry.process.traces import traced
from registry.settings import Settings, load_settings
from registry.state import open_state

_AGAIN_S = 0.1
Use = Literal["tracking", "ray", "state", "state to write"]


def run_job(
    work: Callable[[Settings, argparse.Namespace], None],
    *,
    module: str,
    description: str,
    data: bool = True,
    uses: Collection[Use] = ("tracking", "ray", "state", "state to write"),
    arguments: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Parse arguments, load settings, work; an error that a person can fix becomes one message and exit code 1.

    `uses` says which addresses the job needs besides its data: all of them are asked for a sign of life first.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    if data:
        parser.add_argument(
            "--data",
            metavar="URI",
            help="a folder, s3://bucket/prefix, kaggle:owner/name or synthetic:COUNT; overrides DATA_URI",
        )
    if arguments:
        arguments(parser)
    options = parser.parse_args()
    try:
        settings = _settings(getattr(options, "data", None))
        try_keys(settings)
        _reach(settings, {*uses, "data"} if data else uses)
        with interruptible(), traced(settings, module):
            work(settings, options)
    except KeyboardInterrupt:
        _stop(f"{module} interrupted; run it again to continue where it stopped.", code=1)
    except Exception as error:
        cause = cause_of(error)
        if isinstance(error, (FixableError, OSError)):
            _stop(f"{module} stopped: {cause}", code=error.exit_code if isinstance(error, FixableError) else 1)
        if not _is_of_a_store(cause):
            raise
        # Without the statement and the links that a database's library adds in further lines.
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        _stop(f"{module} stopped: {lines[0]}", code=1)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let a Ctrl-C interrupt the block wherever it arrives.

    Python only reports what is raised in some places, such as the callbacks of a fork, of which Ray's start has many. A
    Ctrl-C that arrives there would be lost, so it is raised again a moment later.
    """
    before = sys.unraisablehook

    def report(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Timer(_AGAIN_S, _thread.interrupt_main).start()
        else:
            before(lost)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before


def _settings(data: str | None) -> Settings:
    """The settings, and the log as LOG_FORMAT asks for it: `auto` is text, since it is people who watch a job."""
    try:
        return load_settings(data_uri=data)
    finally:  # what is wrong with the settings is told in that form too; `.env` is read by then
        handler = logging.StreamHandler()
        as_json = os.environ.get("LOG_FORMAT", "").strip().lower() == "json"
        handler.setFormatter(formatter("json") if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        if as_json:
            atexit.register(take_standard_error())
            atexit.register(ray.shutdown)  # which comes first, so that what Ray writes as it ends is passed on too
        take_the_log(handler)
        logging.getLogger("ray_jobs").setLevel(logging.INFO)


def _stop(message: str, *, code: int) -> NoReturn:
    if is_json():
        logging.getLogger("ray_jobs").error("%s", message)
    else:
        print(message, file=sys.stderr)
    sys.exit(code)


def _is_of_a_store(error: Exception) -> bool:
    """Whether MLflow raised an error, or one of the libraries below it."""
    from registry.model.store import STORE_ERRORS  # noqa: PLC0415  it imports MLflow, which takes seconds

    return isinstance(error, STORE_ERRORS)


def _reach(settings: Settings, uses: Collection[str]) -> None:
    """Ask every place that the job needs before it begins."""
    if "tracking" in uses:
        reach_tracking(settings.tracking_uri, variable=settings.tracking_variable)
    if "ray" in uses and settings.ray_address:
        reach_cluster(settings.ray_address)
    for use, uri, variable in (("state", settings.state_uri, "STATE_URI"), ("data", settings.data_uri, "DATA_URI")):
        if use in uses:
            reach_s3(uri, variable=variable)
    if "state to write" in uses:
        open_state(settings.state_uri).try_out()


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def positive(text: str) -> int:
    """An argument that is a whole number from 1 up."""
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def reason(text: str) -> str:
    """An argument that says why, for the record; an empty one is a variable that nobody set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; say why in a few words, or leave the option out")
    return text.strip()


def seed(text: str) -> int:
    """An argument that NumPy and scikit-learn both take for a seed."""
    value = _whole(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {2**32 - 1}")
    return value
