"""The workflows of GitHub: linted, and each of their commands run here, outside of GitHub, up to what it calls."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import ROOT

FILES = sorted((ROOT / ".github").rglob("*.yaml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
# What GitHub puts in place of an expression, for a pull request 7 of a branch.
EXPRESSIONS = {
    "steps.syft.outputs.cmd": "/opt/cache/syft/1/syft",
    "steps.grype.outputs.cmd": "/opt/cache/grype/1/grype",
    "vars.STATE_BUCKET": "state-of-stacks",
    "vars.AWS_REGION": "eu-west-1",
    "secrets.PULUMI_CONFIG_PASSPHRASE": "a passphrase",
    "github.token": "a token",
    "github.event.pull_request.number": "7",
    "inputs.stack": "aws-dev",
    "inputs.bucket": "state-of-stacks",
}
GITHUB = {"GITHUB_SHA": "0123abc", "GITHUB_REPOSITORY": "team/xrays", "STACK": "aws-dev"}


@dataclass(frozen=True)
class Step:
    """A step that runs commands, and where it stands."""

    file: str
    number: int
    step: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.file}: {self.step.get('name', self.number)}"


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    """The jobs of a workflow, or the steps of an action as one job."""
    content = yaml.safe_load(file.read_text())
    return content.get("jobs") or {"action": content["runs"]}


def steps() -> Iterator[Step]:
    for file in FILES:
        for name, job in jobs(file).items():
            for number, step in enumerate(job.get("steps", ())):
                if "run" in step:
                    yield Step(f"{file.stem} {name}", number, step)


def calls(step: Step, folder: Path, *, fails: str = "") -> tuple[int, list[list[str]]]:
    """Run a step as GitHub does, with commands in place of the real ones that only write down what they are told.

    Gives its exit code, and every command with its arguments. The command `fails` ends with an error.
    """
    told = folder / "told"
    for name in ("make", "aws", "gh", "docker"):
        command = folder / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(
            f"#!/bin/bash\nprintf '%s\\0' {name} \"$@\" >>{told}; printf '\\n' >>{told}\necho {name} was here\n"
            f"exit {int(name == fails)}\n"
        )
        command.chmod(0o755)
    variables = {name: filled(str(value)) for name, value in step.step.get("env", {}).items()}
    for name in ("GITHUB_PATH", "GITHUB_ENV"):
        variables[name] = str(folder / name)
    shutil.copy(ROOT / ".env.example", folder)
    (folder / "preview.txt").touch()  # of the step before
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"} | GITHUB | variables
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.step["run"]]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = told.read_text().splitlines() if told.exists() else []
    return done.returncode, [line.rstrip("\0").split("\0") for line in lines]


def filled(text: str) -> str:
    return re.sub(r"\$\{\{\s*(.+?)\s*\}\}", lambda found: EXPRESSIONS[found[1]], text)


ALL = list(steps())


@pytest.mark.parametrize("step", ALL, ids=map(str, ALL))
def test_each_command_of_a_step_exists_and_takes_what_it_is_told(step: Step, tmp_path: Path):
    assert "${{" not in step.step["run"], "what comes from outside reaches a shell as a variable, never as its text"
    code, called = calls(step, tmp_path)
    assert code == 0
    for command, *arguments in called:
        if command == "make":
            done = subprocess.run(
                ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        elif command == "docker":
            assert arguments[:3] == ["compose", "--profile", "*"]
            assert arguments[3:] in (["build"], ["pull", "--ignore-buildable"])
        elif command == "aws":
            assert arguments[:2] == ["s3", "cp"]
            assert "s3://state-of-stacks/settings/" in " ".join(arguments)
            assert "Pulumi.aws-dev.yaml" in " ".join(arguments)
        else:
            assert arguments[:3] == ["pr", "comment", "7"]
    assert called or (tmp_path / "GITHUB_PATH").read_text() == "/opt/cache/syft/1\n/opt/cache/grype/1\n"


def test_a_preview_that_fails_fails_and_is_still_told(tmp_path: Path):
    preview, comment = [step for step in ALL if step.file == "preview preview"]
    code, _ = calls(preview, tmp_path, fails="make")
    assert code == 1
    code, called = calls(comment, tmp_path)
    assert code == 0
    assert "--edit-last" in called[-1]  # one comment a pull request
    assert (tmp_path / "comment.md").read_text().splitlines()[-1] == "    make was here"
    assert comment.step["if"] == "${{ !cancelled() && steps.preview.outcome != 'skipped' }}"


def test_a_preview_judges_the_plan_by_the_rules():
    typed = subprocess.run(
        ["make", "--dry-run", "preview", "STACK=aws-dev"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pulumi preview --stack aws-dev --diff --policy-pack pulumi/policy" in typed.stdout


def test_every_action_is_pinned_by_its_digest_and_says_its_version():
    used = [line.strip() for file in FILES for line in file.read_text().splitlines() if "uses:" in line]
    foreign = [line for line in used if "uses: ./" not in line]
    assert len(foreign) >= 8
    assert [line for line in foreign if not re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []
    digests = {re.search(r"uses: ([\w.-]+/[\w.-]+)\S*@(\S+)", line).group(1, 2) for line in foreign}  # type: ignore[union-attr]
    assert len({name for name, _ in digests}) == len(digests), "one version of each"


def test_a_login_to_aws_is_a_token_of_the_job_and_nothing_else_may_write():
    may: dict[str, set[str]] = {}
    for file in FILES:
        text = file.read_text()
        assert not re.search(r"aws-access-key-id|AWS_SECRET_ACCESS_KEY|secrets\.AWS", text)
        content = yaml.safe_load(text)
        for scope in (content, *content.get("jobs", {}).values()):
            for right, how in (scope.get("permissions") or {}).items():
                if how == "write":
                    may.setdefault(right, set()).add(scope.get("environment", ""))
    assert may == {"id-token": {"preview", "dev", "prod"}, "pull-requests": {"preview"}}


def test_prod_follows_dev_and_both_follow_the_tests_and_the_scan():
    found = jobs(ROOT / ".github/workflows/deploy.yaml")
    assert found["prod"]["needs"] == ["dev"]
    assert found["prod"]["environment"] == "prod"  # which asks for the approval
    assert set(found["dev"]["needs"]) == {"test", "images"}
    assert found["test"]["uses"].endswith("test.yaml")
    assert found["images"]["uses"].endswith("images.yaml")
    assert next(step["run"] for step in found["prod"]["steps"] if "run" in step) == 'make up STACK="$STACK"'


def test_the_command_of_pulumi_is_of_the_locked_version():
    [version] = re.findall(r"^pulumi==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert f"pulumi-version: {version}\n" in (ROOT / ".github/actions/stack/action.yaml").read_text()


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    if here := shutil.which("actionlint"):
        command = [here]
    elif go := shutil.which("go"):
        command = [go, "run", ACTIONLINT]
    else:
        pytest.skip(reason="neither actionlint nor Go is on the PATH")
    files = [str(path) for path in sorted((folder / ".github/workflows").glob("*.yaml"))]
    done = subprocess.run([*command, "-no-color", *files], cwd=folder, capture_output=True, text=True, check=False)
    if "proxy" in done.stderr and not done.stdout:
        pytest.skip(reason=f"Go's modules cannot be had here: {done.stderr.splitlines()[-1]}")
    return done


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--no-progress", ".github"]
    return subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    (tmp_path / ".git").mkdir()  # where actionlint looks for the root
    return tmp_path


def spoil(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / ".github/workflows" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_actionlint_finds_nothing_and_finds_a_need_that_there_is_not(copied: Path):
    done = actionlint(copied)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    spoil(copied, "deploy.yaml", "needs: [dev]", "needs: [staging]")
    assert "staging" in actionlint(copied).stdout


def test_zizmor_finds_nothing_and_finds_text_from_outside_in_a_shell(copied: Path):
    done = zizmor(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    spoil(copied, "preview.yaml", 'gh pr comment "$NUMBER"', "gh pr comment ${{ github.event.pull_request.title }}")
    spoilt = zizmor(copied)
    assert spoilt.returncode > 0
    assert "template-injection" in spoilt.stdout
