"""One name means one thing: no public class stands twice."""

import ast
from collections import defaultdict

from registry.settings import ROOT

ROOMS = ("features", "registry", "ray_jobs", "serve", "pulumi")


def test_no_public_class_has_the_name_of_another():
    found = defaultdict(list)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(path.relative_to(ROOT)))
    assert len(found) > 100
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
