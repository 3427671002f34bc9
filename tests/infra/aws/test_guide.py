"""Every command of the guide to AWS is run, or is shown to be one that its program takes; `make` is for all pages."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from ray.dashboard.modules.job.cli import job_cli_group

from infra.settings import ROOT
from tests.docs.test_documents import commands
from tests.infra.support.graph import defaults, recorded

GUIDES = [ROOT / "docs" / name for name in ("aws.md", "aws.pt-BR.md", "docker.md", "docker.pt-BR.md")]
every_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda page: page.name)
# Options of the command aws itself, and commands of its own that are no operation of a service.
GLOBAL = {"--query", "--output", "--region", "--profile"}
OWN = {("s3", "rb"), ("s3", "mb"), ("s3", "cp"), ("logs", "tail"), ("configure", "sso"), ("sso", "login")}


def blocks(page: Path) -> list[str]:
    return re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)


@every_guide
def test_a_shell_takes_every_block(guide: Path):
    found = blocks(guide)
    assert len(found) >= 4
    for block in found:
        parsed = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert (parsed.returncode, parsed.stderr) == (0, ""), block


def of_aws(text: str) -> Iterator[list[str]]:
    """The words of each use of the command aws, also within another one."""
    for line in commands(text):
        for part in re.findall(r"(?:^|\$\(|[;&|]\s*)\s*(aws [a-z][^;|)]*)", line):
            yield shlex.split(part.replace("$(", ""), comments=True)[1:]


def refused(words: list[str]) -> list[str]:
    """What the command aws does not know of these words, by the models that it reads too."""
    service, operation, *rest = words
    options = [word.split("=")[0] for word in rest if word.startswith("--")]
    session = botocore.session.get_session()
    if service == "configure" or (service, operation) in OWN:
        return []
    if operation == "wait":
        waiters = session.get_waiter_model(service).waiter_names
        return [] if rest[0] in {xform_name(name, "-") for name in waiters} else [f"aws {service} wait {rest[0]}"]
    model = session.get_service_model(service)
    known = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in known:
        return [f"aws {service} {operation}"]
    shape = model.operation_model(known[operation]).input_shape
    takes = {f"--{xform_name(name, '-')}" for name in (shape.members if shape else {})} | GLOBAL
    return [f"aws {service} {operation} {option}" for option in options if option not in takes]


@every_guide
def test_the_command_aws_takes_what_it_is_told(guide: Path):
    found = list(of_aws(guide.read_text()))
    assert found or "docker" in guide.name
    assert [lost for words in found for lost in refused(words)] == []


def test_what_the_command_aws_does_not_take_is_found():
    [unknown, option, waiter] = of_aws(
        "```bash\naws ecs describe-service --cluster a\naws ecs describe-services --clusters a\n"
        "aws sagemaker wait notebook-ready\n```"
    )
    assert refused(unknown) == ["aws ecs describe-service"]
    assert refused(option) == ["aws ecs describe-services --clusters"]
    assert refused(waiter) == ["aws sagemaker wait notebook-ready"]


def not_of_ray(text: str) -> list[str]:
    """The commands and options of `ray job` that Ray does not know; `$submit` stands for `ray job submit` there."""
    known = {name: {word for one in made.params for word in one.opts} for name, made in job_cli_group.commands.items()}
    lost = []
    for line in commands(text):
        for name, rest in re.findall(r"ray job (\w+)([^;|&`]*)", line.replace("$submit", "ray job submit")):
            told = re.split(r"\s--\s", f"{rest} ")[0]
            options = re.findall(r"(?<!\S)--[a-z-]+", told)
            lost += [f"{name} {option}" for option in options if option not in known.get(name, set())]
            lost += [] if name in known else [name]
    return lost


@every_guide
def test_the_command_ray_takes_what_it_is_told(guide: Path):
    assert "ray job submit" in guide.read_text()
    assert not_of_ray(guide.read_text()) == []


def test_what_the_command_ray_does_not_take_is_found():
    text = "```bash\nray job sumbit -- python a.py\n$submit --verfy a.pem -- python a.py --why b\n```"
    assert not_of_ray(text) == ["sumbit", "submit --verfy"]


@every_guide
def test_every_setting_and_every_output_that_it_names_exists(guide: Path):
    there = {*recorded("dev").outputs, "next"} if "aws" in guide.name else {"next"}
    secrets = {"mlflowAdminPassword", "apiKeys"}
    for line in commands(guide.read_text()):
        words = re.sub(r"--(stack|path) ('[^']+'|\S+)", lambda found: found[2] if found[1] == "path" else "", line)
        for setting in re.findall(r"pulumi config (?:set|get) +(?:--secret +)?'?([\w:]+)", words):
            assert setting in {*defaults(), "aws:region", *secrets, "NAME", "NOME"}, line
        for output in re.findall(r"pulumi stack output (\w[\w-]*)", line):
            assert output in there, line


def test_the_line_for_the_hosts_file_takes_the_place_of_the_one_before(tmp_path: Path):
    """The command itself, with another file, a name that this machine knows, and a `sudo` that only runs."""
    file, sudo = tmp_path / "hosts", tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    hosts = "mlflow.hm-mlflow.internal ray.hm-mlflow.internal app.hm-mlflow.internal"
    file.write_text(f"127.0.0.1 localhost\n203.0.113.9 {hosts}\n")
    line = recorded("dev").outputs["hosts"].replace("/etc/hosts", str(file)).replace("edge.example", "localhost")
    assert hosts in line
    for _ in range(2):
        subprocess.run(
            ["bash", "-c", line], cwd=ROOT, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True
        )
        assert file.read_text() == f"127.0.0.1 localhost\n127.0.0.1 {hosts}\n"
    lost = line.replace('"localhost"', '"nowhere.invalid"')
    assert subprocess.run(["bash", "-c", lost], cwd=ROOT, capture_output=True, check=False).returncode != 0
    assert file.read_text() == f"127.0.0.1 localhost\n127.0.0.1 {hosts}\n"
