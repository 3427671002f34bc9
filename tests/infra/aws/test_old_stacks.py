"""What holds data outlives every change of the program: a stack from before stays as it is.

`ungrouped/holding.json` has what the program asked for on 25 November 2026 (before commit 54bf681) of all that holds
data. AWS replaces a resource where a property changes that can only be given at its creation; its schemas name those.
"""

import json
from typing import Any

import pytest

from infra.settings import ROOT
from tests.infra.support.graph import Graph, plain, recorded
from tests.infra.support.holding import at_creation_only

HOLDING = json.loads((ROOT / "tests" / "infra" / "ungrouped" / "holding.json").read_text())


def replaced(graph: Graph, before: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each resource from before that is gone, or that AWS would make anew."""
    now = {str(resource): resource for resource in graph.resources}
    lost = []
    for name, inputs in before.items():
        if name not in now:
            lost.append(f"{name} is gone")
            continue
        found = now[name]
        for key in at_creation_only(found.kind) - set(found.ignored):
            if plain(found.inputs.get(key)) != inputs.get(key):
                lost.append(f"{name} has another {key}: {found.inputs.get(key)}")
    return lost


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_nothing_that_holds_data_is_gone_or_made_anew(environment: str):
    assert len(HOLDING[environment]) == 20
    assert replaced(recorded(environment), HOLDING[environment]) == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("s3.Bucket data", "bucket", "another"),
        ("rds.Instance database", "username", "another"),
        ("cloudwatch.LogGroup webapp", "name", "/ecs/another"),
        ("sagemaker.NotebookInstance notebook", "subnetId", "id of private-2"),
        ("ecr.Repository model", "name", "another"),
    ],
)
def test_what_would_be_made_anew_is_found(name: str, key: str, value: str):
    before = {name: HOLDING["dev"][name] | {key: value}}
    [line] = replaced(recorded("dev"), before)
    assert line.startswith(f"{name} has another {key}: ")


def test_what_is_gone_is_found():
    assert replaced(recorded("dev"), {"s3.Bucket another": {}}) == ["s3.Bucket another is gone"]
