"""The Ray cluster that a job runs on: the one that RAY_ADDRESS names, otherwise one started here for the job."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import ray
from filelock import FileLock, Timeout
from ray._private.parameter import RayParams
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]
from ray.exceptions import RayTaskError

from ray_jobs.runtime.progress import write_line
from registry.errors import FixableError
from registry.process.log_lines import take_from_libraries
from registry.process.private_ray import keep_private, start_private, with_own_agent_port
from registry.process.reach import reach_ray
from registry.settings import Settings, SettingsError
from registry.state import local_folder

T = TypeVar("T")
_NAMESPACE = "hm-mlflow"


class AlreadyRunningError(FixableError):
    """Another live job does the same work."""


class ClusterError(FixableError):
    """A Ray that answers cannot be joined."""


def connect(address: str | None) -> None:
    """Connect this process to Ray until it ends; where it is connected already, nothing happens.

    Raises
    ------
    SettingsError
        As `reach_cluster` has it.
    ClusterError, RayStartError
        If Ray cannot be joined, or does not start here.
    """
    if ray.is_initialized():
        return
    found = reach_cluster(address) if address else None
    # Ray's default warns at every start about accelerators, which this project does not use.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    take_from_libraries()
    if not found:
        _start()
        return
    write_line(f"joining the Ray at {found}")
    try:
        ray.init(address=found, log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # Ray raises a bare one
        brief = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClusterError(
            f"the Ray at {found} (RAY_ADDRESS) cannot be joined: {brief} Its log folder says more; try again."
        ) from error


def _start() -> None:
    write_line("starting Ray on this machine, which takes some seconds")

    def init() -> None:
        keep_private()
        AuthenticationTokenLoader.instance().reset_cache()  # of a Ray that this process had before
        with with_own_agent_port(RayParams):
            ray.init(address="local", log_to_driver=False, logging_level=logging.WARNING, include_dashboard=False)

    start_private(init, forget=ray.shutdown, tell=write_line)


def reach_cluster(address: str) -> str | None:
    """The HOST:PORT of the Ray that an address means, None for `local`, once somebody answers there.

    `auto` means the Ray that `ray start` started on this machine. Ray itself would also find one that a server or
    another job started for itself, which is private.

    Raises
    ------
    SettingsError
        For no address, for one where no Ray answers, and for a jobs API, to which processes do not connect.
    """
    if address.startswith(("http://", "https://")):
        raise SettingsError(
            f"RAY_ADDRESS is {address!r}, a jobs API, to which a job is sent: ray job submit --address {address} -- "
            "python -m ray_jobs.train. Unset it to run on this machine, or name a node that is here: RAY_ADDRESS=auto"
        )
    if address == "local":
        return None
    if address != "auto":
        reach_ray(address)
        return address
    from ray._private.services import find_bootstrap_address  # noqa: PLC0415 - Ray says it nowhere else

    found = find_bootstrap_address(None)
    if not found:
        raise SettingsError(
            "RAY_ADDRESS is 'auto', and no Ray was started on this machine for jobs to share. Start one with "
            "`ray start --head`, or unset RAY_ADDRESS, and one is started for the job"
        )
    reach_ray(found, found_as=f"auto, which finds {found}")
    return str(found)


def cpus() -> int:
    """Cores that Ray may use, at least 1."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def cause_of(error: Exception) -> Exception:
    """What went wrong on a worker, without the traceback that Ray makes part of its message."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) else error


@contextmanager
def sole_owner(key: str, settings: Settings) -> Iterator[None]:
    """Hold a piece of work while this process lives: a file lock on one machine, a named actor on a cluster.

    Raises
    ------
    AlreadyRunningError
        If another live process holds it.
    """
    refusal = AlreadyRunningError(f"The same work ({key}) is being done by another job right now; wait for it to end.")
    if not settings.ray_address:
        lock = FileLock(local_folder(settings.state_uri) / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise refusal from None
        try:
            yield
        finally:
            lock.release()
        return
    connect(settings.ray_address)
    try:
        holder = _Turn.options(name=key, namespace=_NAMESPACE).remote()  # type: ignore[attr-defined]
        ray.get(holder.ready.remote())
    except ValueError:
        raise refusal from None
    try:
        yield
    finally:
        ray.kill(holder)


@ray.remote(num_cpus=0)
class _Turn:
    def ready(self) -> None:
        """Nothing; who is answered has the turn."""
