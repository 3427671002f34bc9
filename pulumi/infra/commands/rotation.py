"""`make rotate`: another value of a secret. `make up`, which follows, restarts whoever uses it and nobody else.

On AWS a value is a version that stands in the task definitions of its services; in Docker each container has a label
that follows what its secrets say. Where there is no Pulumi, Compose runs the stack, and has to be told.
"""

import shlex
import shutil
import subprocess
from pathlib import Path

from infra import stack
from infra.aws.account import commands
from infra.local.lower import lower
from infra.local.running import LOGIN, containers_of, project_here
from infra.local.secrets import derived, write_files
from infra.secrets import GIVEN, renewed, setting
from infra.spec import Topology
from infra.topology import on_aws, topology

DATABASE, CERTIFICATE = "database-password", "certificate"
_POSTGRES = "postgres"


def rotatable(name: str) -> tuple[str, ...]:
    """The names of what a stack can be given another value of."""
    if on_aws(name):
        return (DATABASE, CERTIFICATE, *commands.with_every_secret(name).secrets)
    return tuple(secret for secret in _local(name).secrets if not derived(secret))


def rotate(name: str, secret: str, files: Path) -> str:
    """Make another value of a stack's secret, in `files` for one on this machine; says what restarts, and when.

    Raises
    ------
    StackError
        Where there is no such secret, where only the team can supply it, or where the stack has to be up for it.
    """
    if secret in GIVEN:
        raise stack.StackError(
            f"{secret} is the team's own: pulumi config set --secret {setting(secret)} --stack {name} < FILE, then "
            f"make up STACK={name}. docs/signing.md says how keys are changed."
        )
    if secret not in (known := rotatable(name)):
        raise stack.StackError(
            f"SECRET is {secret!r}; it takes one of {', '.join(known)}: make rotate STACK={name} SECRET={known[0]}"
        )
    return _on_aws(name, secret) if on_aws(name) else _here(name, secret, files)


def _on_aws(name: str, secret: str) -> str:
    if secret == DATABASE:
        commands.rotate_database_password(name)
        return "RDS makes another password, and MLflow's server reads it within a minute. Nothing restarts."
    if secret == CERTIFICATE:
        commands.forget_certificate(name)
        return "`make up` makes another certificate and authority: then import .local/STACK/authority.pem again."
    stack.set_secret(name, secret, renewed(secret, stack.read_setting(setting(secret), name) or ""))
    return _restarts(commands.with_every_secret(name), secret)


def _here(name: str, secret: str, files: Path) -> str:
    # Before anything is changed, because Docker may not answer.
    told = _restarts(_local(name), secret) if shutil.which("pulumi") else _by_compose(name, secret)
    there = files / secret
    new = renewed(secret, there.read_text() if there.exists() else "")
    if secret == DATABASE:
        _tell_postgres(name, new)
    there.unlink(missing_ok=True)
    write_files(files, (secret,), values={secret: new})
    write_files(files, _local(name).secrets)  # what only spells this one follows
    return told


def _tell_postgres(name: str, password: str) -> None:
    """Postgres reads its password file only when it makes its database; MLflow goes on with the connections it has."""
    container = next(iter(containers_of(project_here(name), _POSTGRES)), f"{project_here(name)}-{_POSTGRES}")
    user = topology().databases[0].user
    psql = ["docker", "exec", "--interactive", container, *shlex.split(LOGIN), "psql"]
    psql += ["--quiet", "--set=ON_ERROR_STOP=1", f"-U{user}"]
    order = f"ALTER USER {user} PASSWORD '{password}';\n"
    try:
        done = subprocess.run(psql, input=order, text=True, capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise stack.StackError("The command docker is not on the PATH, and the database has to be told.") from None
    if done.returncode:
        raise stack.StackError(
            f"{container} did not take another password, so nothing was changed: {done.stderr.strip()}. It has to run: "
            f"make up STACK={name}"
        )


def _restarts(whole: Topology, secret: str) -> str:
    using = _using(whole, secret)
    return f"{secret} has another value. `make up` restarts {', '.join(using)}{_lost(using)}."


def _by_compose(name: str, secret: str) -> str:
    """Compose makes nothing anew for what a file says; those that are not there would be started with the others."""
    using = [service for service in _using(_local(name), secret) if containers_of(project_here(name), service)]
    if not using:
        return f"{secret} has another value. Nothing that uses it is there."
    order = f"docker compose up --detach --no-deps --force-recreate {' '.join(using)}"
    return f"{secret} has another value. This restarts who uses it{_lost(using)}: {order}"


def _using(whole: Topology, secret: str) -> list[str]:
    spelt = {name for name in whole.secrets if (source := derived(name)) and source[0] == secret}
    return [service.name for service in whole.in_order() if {secret, *spelt} & service.secrets.keys()]


def _lost(using: list[str]) -> str:
    return "; jobs that run stop, and resume where they stopped when they are submitted again" * ("ray-head" in using)


def _local(name: str) -> Topology:
    return lower(topology(stack=name, login=True, keys=True))
