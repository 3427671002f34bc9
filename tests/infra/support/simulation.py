"""A stack on a simulated AWS: Terraform's own provider brings up what the program declares, and takes it down."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.aws.network.certificate import make
from infra.settings import ROOT
from tests.infra.support.graph import defaults
from tests.infra.support.recorded import SECRETS

TOOL = Path(os.environ.get("AWS_GRAPH", ROOT.parent / "shared" / "tools" / "aws_graph"))
LONG = [
    pytest.mark.long,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(not TOOL.is_dir(), reason=f"the tool aws_graph is not at {TOOL}"),
    pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on the PATH"),
]
REGION = "us-east-1"  # the tool's
ACCOUNT = "123456789012"  # moto's
_PATIENCE_S = 900  # the longest took 5 minutes where twenty other programs ran
_SUPPORT = ROOT / "tests" / "infra" / "support"


def settings_of(environment: str) -> dict[str, str]:
    """What a stack of an environment is recorded with."""
    made = make("hm-mlflow.internal", [f"{host}.hm-mlflow.internal" for host in ("mlflow", "ray", "app")])
    return (
        defaults()
        | SECRETS
        | {
            "environment": environment,
            "allowedCidrs": '["203.0.113.0/24"]',
            "alertEmail": "team@example.com",
            "aws:region": REGION,
            "tlsKey": made.key,
            "tlsCertificate": made.certificate,
            "tlsAuthority": made.authority,
        }
    )


@contextmanager
def standing() -> Iterator[str]:
    """A simulated AWS with nothing in it; gives its address."""
    command = [sys.executable, str(_SUPPORT / "moto_server.py"), str(TOOL)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.communicate(timeout=60)


@dataclass(frozen=True)
class Simulated:
    """A stack on the simulated AWS at an address; `folder` has what Terraform is to create, and what it has created."""

    settings: dict[str, str]
    address: str
    folder: Path

    @property
    def environment(self) -> str:
        return self.settings["environment"]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def record(self, **settings: str) -> None:
        """Write what the program declares, with some settings changed."""
        given = [f"{name}={value}" for name, value in (self.settings | settings).items()]
        subprocess.run(
            [sys.executable, str(_SUPPORT / "simulated.py"), str(TOOL), str(self.folder), "aws", *given],
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "pulumi")))},
            check=True,
        )

    def declared(self) -> dict[str, Any]:
        """What is recorded, by Terraform's address of each."""
        kinds = json.loads((self.folder / "main.tf.json").read_text())["resource"]
        return {f"{kind}.{name}": body for kind, named in kinds.items() for name, body in named.items()}

    def terraform(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """A command of Terraform's on what is recorded."""
        environment = os.environ | {"TF_CLI_CONFIG_FILE": str(self.folder / "terraform.rc"), "TF_IN_AUTOMATION": "1"}
        known = ("-input=false", "-no-color", "-parallelism=4", f"-var=endpoint={self.address}")
        return subprocess.run(
            ["terraform", command, *known, *options],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )

    def up(self, *options: str) -> None:
        """Create or change what is recorded."""
        done = self.terraform("apply", "-auto-approve", *options)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"

    def down(self) -> None:
        """Take everything down. What was created is known, and is not looked at again."""
        done = self.terraform("destroy", "-auto-approve", "-refresh=false")
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"

    def policy(self, role: str) -> list[dict[str, Any]]:
        """The statements of a role's policy."""
        name = f"hm-mlflow-{role}"
        document = self.client("iam").get_role_policy(RoleName=name, PolicyName=name)["PolicyDocument"]
        return document["Statement"]

    def allows(self, role: str, action: str, resource: str) -> bool:
        return any(
            action in statement["Action"] and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
            for statement in self.policy(role)
        )
