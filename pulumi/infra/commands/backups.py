"""`make backup` and `make restore` of a stack: what the jobs that do it have to know of it, and what comes after."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra import stack
from infra.aws.account import commands
from infra.local import stores
from infra.local.running import LOGIN, containers_of, project_here
from infra.settings import ROOT
from infra.topology import on_aws, topology

# What people use. The stack's own state, settings and secrets belong to the containers that were made with them.
_DATA = ("database", "artefacts", "state")


def backup(name: str, to: str, keep: str, secrets: Path) -> int:
    """Back a stack up; gives the exit code."""
    if not to:
        sys.exit("TO is not set; name a folder or bucket for backups: make backup STACK=local TO=../backups")
    arguments, variables = _whole(name, secrets)
    command = ["-m", "ray_jobs.backup", "--to", to, *(["--keep", keep] if keep else []), *arguments]
    return _run(command, variables).returncode


def restore(name: str, source: str, chosen: str, parts: str, secrets: Path) -> int:
    """Put a backup of a stack back; on AWS, the database follows with the next `make up`."""
    if not source:
        sys.exit("FROM is not set; name where the backups are: make restore STACK=local FROM=../backups")
    wanted = parts.split() or list(_DATA)
    needed = bool({"database", "artefacts", "state"} & set(wanted))
    arguments, variables = _whole(name, secrets) if needed else (_own(name, secrets), {})
    which = ["--backup", chosen] if chosen else []
    done = _run(
        ["-m", "ray_jobs.restore", "--from", source, *which, "--only", *wanted, *arguments], variables, capture=True
    )
    print(done.stdout, end="")
    snapshots = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("snapshot ")]
    if done.returncode == 0 and snapshots and on_aws(name):
        stack.run_pulumi("config", "set", "restoreDatabase", snapshots[0], "--stack", name)
        print(f"restoreDatabase of {name} is {snapshots[0]} now: make up STACK={name} makes the database from it")
    return done.returncode


def _whole(name: str, secrets: Path) -> tuple[list[str], dict[str, str]]:
    """The arguments and variables that say where a stack has everything."""
    if on_aws(name):
        exported = commands.outputs(name)
        if not {"database", "artefacts", "state"} <= exported.keys():
            raise stack.StackError(
                f"{name} is not up, or was last brought up by an older version: make up STACK={name}"
            )
        region = stack.read_setting("aws:region", name) or ""
        where = ["--database", f"rds:{exported['database']}", "--artefacts", exported["artefacts"]]
        return where + _own(name, None), {"STATE_URI": exported["state"], "AWS_DEFAULT_REGION": region}
    credentials, whole = secrets / stores.CREDENTIALS, topology(stack=name)
    if not credentials.exists():
        raise stack.StackError("compose/secrets/ has no credentials of the object store; `make stack` makes them.")
    servers = containers_of(project_here(name), stores.POSTGRES)
    if not servers:
        raise stack.StackError(
            f"No container of {stores.POSTGRES} is there; `make up STACK={name}` or `docker compose up` starts it."
        )
    user = whole.databases[0].user
    where = [
        *("--database", f"postgresql://{user}@/{user}"),
        *("--through", f"docker exec --interactive {servers[0]} {LOGIN}"),
        *("--artefacts", f"s3://{stores.bucket_name(whole, 'artefacts')}"),
        *("--endpoint", "http://localhost:9000", "--credentials", str(credentials)),
    ]
    return where + _own(name, secrets), {"STATE_URI": f"s3://{stores.bucket_name(whole, 'state')}"}


def _own(name: str, secrets: Path | None) -> list[str]:
    """The folders of this machine without which a stack cannot be managed any more."""
    own = {"stack": stack.STATE, "settings": ROOT / f"Pulumi.{name}.yaml"} | ({"secrets": secrets} if secrets else {})
    return [word for part, path in own.items() for word in ("--folder", f"{part}={path}")]


def _run(
    command: Sequence[str], variables: dict[str, str], *, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    pipe = subprocess.PIPE if capture else None
    environment = os.environ | {"EXECUTION_ENVIRONMENT": "local"} | variables
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=pipe, text=True, check=False)  # noqa: S603
