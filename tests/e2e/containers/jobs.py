"""Jobs on the cluster of a stack, as a person submits them and asks about them."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.containers.stack import SECRETS, TOKEN, run

RAY = str(Path(sys.executable).parent / "ray")
JOBS = "http://localhost:8265"


def submit(*command: str, **variables: str) -> str:
    """Run a job to its end; gives what it printed."""
    environment = json.dumps({"env_vars": variables})
    return run(
        *(RAY, "job", "submit", "--address", JOBS, "--runtime-env-json", environment, "--", *command), **TOKEN
    ).stdout


def begin(*command: str) -> str:
    """Start a job; gives its name."""
    said = run(*(RAY, "job", "submit", "--no-wait", "--address", JOBS, "--", *command), **TOKEN).stdout
    return next(word.strip("'") for word in said.split() if word.strip("'").startswith("raysubmit_"))


def info(job: str) -> dict[str, Any]:
    """What the jobs API says of a job, or nothing where the head does not answer now."""
    try:
        answer = _get(job)
    except httpx.HTTPError:
        return {}
    return dict(answer.json()) if answer.is_success else {}


def log(job: str) -> str:
    """What a job has printed so far."""
    return str(_get(f"{job}/logs").json()["logs"])


def _get(path: str) -> httpx.Response:
    token = (SECRETS / "ray-token").read_text().strip()
    return httpx.get(f"{JOBS}/api/jobs/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30)
