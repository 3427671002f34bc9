"""A tolerance says why: floats may differ by so much and no more, for a reason that a reader can check."""

import ast
from collections.abc import Iterator
from pathlib import Path

from registry.settings import ROOT

TOLERANCES = {"abs", "rel", "atol", "rtol"}


def unexplained(path: Path) -> Iterator[str]:
    """Every number in a file that is a tolerance and has no comment: in its statement's lines, or in the one before."""
    source = path.read_text()
    lines = source.splitlines()
    tree = ast.parse(source)
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and not hasattr(node, "body")]
    for statement in statements:
        literal = [
            keyword.value.value
            for call in ast.walk(statement)
            if isinstance(call, ast.Call)
            for keyword in call.keywords
            if keyword.arg in TOLERANCES and isinstance(keyword.value, ast.Constant) and keyword.value.value
        ]
        around = lines[max(0, statement.lineno - 2) : statement.end_lineno]
        if literal and not any("# " in line for line in around):
            yield f"{path.relative_to(ROOT)}:{statement.lineno} allows {literal}"


def test_every_tolerance_has_its_reason_beside_it():
    assert [line for path in sorted((ROOT / "tests").rglob("*.py")) for line in unexplained(path)] == []


def test_a_tolerance_without_a_reason_is_found(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tests.contract.test_tolerances.ROOT", tmp_path)
    file = tmp_path / "test_it.py"
    file.write_text("def test_it():\n    assert 1 == approx(2, abs=1)\n\n    # so\n    assert 1 == approx(2, rel=3)\n")
    assert list(unexplained(file)) == ["test_it.py:2 allows [1]"]
