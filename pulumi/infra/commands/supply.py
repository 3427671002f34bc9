"""What the lock and the images consist of, in CycloneDX's format, and which known vulnerabilities that has."""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.spec import Topology

LOCK = "requirements.lock"
# Worth a release of its own, where an update would end it.
_SERIOUS = ("High", "Critical")


@dataclass
class Account:
    """What was looked at, what was found there, and what could not be looked at; a line each."""

    done: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 if something was found, 2 if not all could be looked at."""
        return 1 if self.found else 2 if self.lacking else 0

    def __str__(self) -> str:
        return "\n".join((*self.done, *self.found, *self.lacking))


def image_names(topology: Topology) -> list[str]:
    """The images of a topology as Docker knows them on this machine."""
    return [image.public or f"{topology.project}/{image.name}" for image in topology.images]


def list_parts(root: Path, folder: Path, images: list[str]) -> Account:
    """Write into a folder what the lock consists of, and each of the images that is on this machine."""
    account = Account()
    folder.mkdir(parents=True, exist_ok=True)
    bill = folder / "requirements.cdx.json"
    done = _run(
        *(
            _beside_python("cyclonedx-py"),
            "requirements",
            str(root / LOCK),
            "--pyproject",
            str(root / "pyproject.toml"),
        ),
        *("--output-reproducible", "--validate", "--output-file", str(bill)),
    )
    _tell(account, done, LOCK, bill)
    for image in _on_this_machine(images, account, "syft"):
        bill = folder / f"{image.replace('/', '-').replace(':', '-')}.cdx.json"
        done = _run("syft", "scan", f"docker:{image}", "--quiet", "--output", f"cyclonedx-json={bill}")
        _tell(account, done, image, bill)
    return account


def audit(root: Path, images: list[str], *options: str) -> Account:
    """Look up known vulnerabilities: of the lock at OSV, of each image on this machine in Grype's database.

    Of an image, those count that are serious and that an update of the package would end.
    """
    account = Account()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        # The lock names every package with its digests, so nothing has to be resolved, let alone installed.
        done = _run(
            *(_beside_python("pip-audit"), "--requirement", str(root / LOCK), "--require-hashes", "--disable-pip"),
            *("--vulnerability-service", "osv", "--progress-spinner", "off"),
            *("--format", "json", "--output", str(report), *options),
        )
        if report.exists():  # else it ended before it had asked for every package
            _judge(account, LOCK, _of_pip_audit(json.loads(report.read_text())))
        else:
            account.lacking.append(
                f"{LOCK} was not looked at: {_last_line(done.stderr)} Without a network, let Grype look at its parts: "
                "make sbom && grype sbom:.local/sbom/requirements.cdx.json"
            )
    for image in _on_this_machine(images, account, "grype"):
        done = _run("grype", f"docker:{image}", "--quiet", "--only-fixed", "--output", "json")
        if done.stdout.strip():
            _judge(account, image, _of_grype(json.loads(done.stdout)))
        else:
            account.lacking.append(
                f"{image} was not looked at: {_last_line(done.stderr)} Without a network, bring Grype's database from "
                "a machine that has one: grype db import FILE && GRYPE_DB_AUTO_UPDATE=false make audit"
            )
    return account


def _of_pip_audit(report: dict[str, Any]) -> list[str]:
    return [
        f"{package['name']} {package['version']}: {', '.join([known['id'], *known['aliases']])}"
        f" ({'ended by ' + ', '.join(known['fix_versions']) if known['fix_versions'] else 'no update ends it yet'})"
        for package in report["dependencies"]
        for known in package.get("vulns", ())
    ]


def _of_grype(report: dict[str, Any]) -> list[str]:
    return [
        f"{match['artifact']['name']} {match['artifact']['version']}: {match['vulnerability']['id']}"
        f" (ended by {', '.join(match['vulnerability']['fix']['versions'])})"
        for match in report["matches"]
        if match["vulnerability"]["severity"] in _SERIOUS
    ]


def _judge(account: Account, what: str, found: list[str]) -> None:
    account.found += [f"{what}: {line}" for line in found]
    if not found:
        account.done.append(f"{what}: nothing is known that an update would end")


def _tell(account: Account, done: subprocess.CompletedProcess[str], what: str, bill: Path) -> None:
    if done.returncode == 0:
        account.done.append(f"{what}: {bill}")
    else:
        account.lacking.append(f"{what} was not looked at: {_last_line(done.stderr)}")


def _on_this_machine(images: list[str], account: Account, scanner: str) -> list[str]:
    """Those of the images that were built or pulled here, if their scanner is here too; else says what to do."""
    here = [image for image in images if _run("docker", "image", "inspect", image).returncode == 0]
    if not here:
        account.done.append("No image is on this machine: docker compose build")
    elif not shutil.which(scanner):
        account.lacking.append(
            f"{', '.join(here)}: not looked at, because {scanner} is not on the PATH. Install it: "
            f"https://github.com/anchore/{scanner}#installation"
        )
        return []
    return here


def _beside_python(command: str) -> str:
    """A command that was installed with the interpreter that runs this."""
    return str(Path(sys.executable).parent / command)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not installed.")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["it said nothing."]
    return lines[-1]
