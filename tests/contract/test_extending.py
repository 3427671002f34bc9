"""A new public service is an entry in the topology, a Dockerfile and its ignore file, and nothing else.

The tree is copied, the diff of the contributor's page is applied, and the contract tests run on the copy, with one more
that looks at what AWS is asked for.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.settings import ROOT
from tests.extending import PAGES, diffs

COPIED = ("pulumi", "compose", "tests/contract", "tests/infra/support")
# What a notebook's archive takes along.
ARCHIVED = ("features", "registry", "ray_jobs", "notebooks")
FILES = ("tests/__init__.py", "pyproject.toml", "requirements.lock", "Pulumi.yaml")

LOOK = """
import json

from infra.aws.account import commands
from infra.aws.network import certificate
from infra.aws.estimate import estimate
from infra.aws.environment import DEV
from infra.aws.rules.every import RULES
from tests.infra.support.graph import plain, recorded
from tests.infra.support.mutations import asked

HOST = "labels.hm-mlflow.internal"


def test_aws_has_all_of_the_new_service():
    graph = recorded("dev")
    [condition] = graph.of("lb.ListenerRule")["labels"]["conditions"]
    assert condition["hostHeader"]["values"] == [HOST]
    assert graph.of("lb.TargetGroup")["labels"]["healthCheck"]["path"] == "/"
    [container] = json.loads(plain(graph.of("ecs.TaskDefinition")["labels"]["containerDefinitions"]))
    assert container["user"] == "10006"
    assert "ecs.Service webapp" in graph.get("ecs.Service", "labels").needs
    assert {"labels-errors", "labels-missing", "labels-unhealthy"} <= graph.of("cloudwatch.MetricAlarm").keys()
    assert graph.of("servicediscovery.Service")["labels"]["name"] == "labels"
    assert graph.outputs["labels"] == f"https://{HOST}"
    assert "labels on Fargate" in {line.what for line in estimate(DEV)}
    assert {"Service labels"} == {one.place.group for one in graph.resources if one.name == "labels" and
                                  one.kind.startswith(("ecs.", "lb.", "cloudwatch."))}


def test_the_rules_let_it_be_made():
    assert [line for rule in RULES.values() for line in rule(asked("dev"))] == []


def test_its_certificate_is_due_again(monkeypatch):
    domain = "hm-mlflow.internal"
    before = certificate.make(domain, [f"{label}.{domain}" for label in ("mlflow", "ray", "app")])
    settings = {"tlsCertificate": before.certificate, "egress": "public"}

    def run(*words, text=None):
        settings[words[words.index("--stack") - 1]] = text

    monkeypatch.setattr(commands.stack, "prepare", lambda *_: [])
    monkeypatch.setattr(commands.stack, "read_setting", lambda name, _: settings.get(name))
    monkeypatch.setattr(commands.stack, "run_pulumi", run)
    made, _ = commands.prepare("aws")
    assert made == ["certificate"]
    again, _ = commands.prepare("aws")
    assert again == []
"""


def scratch(folder: Path) -> Path:
    """A copy of what the contract tests look at."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in (*COPIED, *ARCHIVED):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    shutil.rmtree(folder / "compose" / "secrets", ignore_errors=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    (folder / "tests" / "contract" / Path(__file__).name).unlink()
    return folder


def test_a_new_public_service_needs_its_entry_and_its_image_only(tmp_path: Path):
    copy = scratch(tmp_path)
    diff = diffs(PAGES[0])["service"]
    assert diff.count("diff --git") == 3
    subprocess.run(["git", "apply", "-"], cwd=copy, input=diff, text=True, check=True)
    (copy / "tests" / "contract" / "test_labels.py").write_text(LOOK)

    # That a spoilt rendering is noticed is shown of the renderers once; here it is what they say that counts.
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", "not noticed", "tests/contract"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=copy, env=variables, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    said = [
        f"test_a_renderer_says_what_the_topology_says[{name}-labels] PASSED" for name in ("compose", "docker", "ecs")
    ]
    assert [line for line in said if line not in done.stdout] == []
