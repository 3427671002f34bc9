"""Run a job wherever RAY_ADDRESS says, and follow it to its end: what notebooks and other programs call."""

import os
import shlex
import subprocess
import sys
import time

from ray.job_submission import JobStatus, JobSubmissionClient

from registry.errors import FixableError
from registry.process.identity import SUBMITTER, person
from registry.process.reach import reach_jobs_api
from registry.process.traces import for_child, traced
from registry.settings import ROOT, Settings

_POLL_S = 1.0
# A head that has just started takes no jobs for some seconds, although its jobs API answers.
_NOT_YET = "No available agent"
_PATIENCE_S = 120.0


class JobError(FixableError):
    """The job failed; what it printed says why."""


def submit(settings: Settings, module: str, *arguments: str) -> None:
    """Run `python -m MODULE ARGUMENTS` and print what it prints.

    With RAY_ADDRESS `http://HOST:8265` it runs on that cluster, on the code in the cluster's image; Ray's client takes
    the token from RAY_AUTH_TOKEN_PATH. Otherwise it runs here.

    Raises
    ------
    JobError
        If it does not succeed, or the cluster takes no job, or says nothing of it, within two minutes.
    SettingsError
        If nobody answers at that address.
    """
    address = settings.ray_address or ""
    with traced(settings, f"submit {module}"):
        if address.startswith(("http://", "https://")):
            _on_cluster(settings, address, shlex.join(("python", "-m", module, *arguments)))
        elif code := _here(settings, module, *arguments):
            raise JobError(f"{module} ended with code {code}.")


def _here(settings: Settings, module: str, *arguments: str) -> int:
    # The caller's profile and name, whatever .env says, and the trace that this belongs to.
    profile: dict[str, str] = {"EXECUTION_ENVIRONMENT": settings.execution_environment, **for_child()}
    if settings.promoted_by:
        profile["PROMOTED_BY"] = settings.promoted_by
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | profile, check=False).returncode  # noqa: S603


def _on_cluster(settings: Settings, address: str, entrypoint: str) -> None:
    reach_jobs_api(address)
    client = JobSubmissionClient(address)
    submitter = person(settings)
    name = _taken(client, address, entrypoint, {SUBMITTER: submitter} if submitter else {})
    print(f"{name} runs on {address}", flush=True)
    seen = 0
    while True:
        status, log = _looked_at(client, address, name)
        sys.stdout.write(log[seen:])
        sys.stdout.flush()
        seen = len(log)
        if status.is_terminal():
            break
        time.sleep(_POLL_S)
    if status is not JobStatus.SUCCEEDED:
        raise JobError(f"{entrypoint!r} ended as {status} on {address}: {client.get_job_info(name).message}")


def _looked_at(client: JobSubmissionClient, address: str, name: str) -> tuple[JobStatus, str]:
    """Status and log of a job; where a head starts again or a balancer stumbles, they are asked for again."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            status = client.get_job_status(name)  # before the log, so that the last look misses nothing
            return status, client.get_job_logs(name)
        except (RuntimeError, OSError) as error:
            if time.monotonic() > end:
                raise JobError(
                    f"{address} does not say any more how {name} is: {error}. Look there whether it still runs."
                ) from error
        time.sleep(_POLL_S)


def _taken(client: JobSubmissionClient, address: str, entrypoint: str, metadata: dict[str, str]) -> str:
    """The id under which the cluster took the job, as soon as it takes any."""
    end = time.monotonic() + _PATIENCE_S
    variables = for_child()
    runtime_env = {"env_vars": variables} if variables else None
    while True:
        try:
            return client.submit_job(entrypoint=entrypoint, metadata=metadata, runtime_env=runtime_env)
        except RuntimeError as error:
            if _NOT_YET not in str(error):
                raise JobError(f"The cluster at {address} does not take the job: {error}") from error
            if time.monotonic() > end:
                raise JobError(f"The cluster at {address} takes no job yet: {error}. Try again in a minute.") from error
        time.sleep(_POLL_S)
