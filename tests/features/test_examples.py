"""The examples in the docstrings of `features`: every public function has one, and it is true."""

import doctest
import inspect
import pkgutil
from importlib import import_module
from types import ModuleType

import pytest

import features

# The readers of one format each: only `features.reading.decode` calls them, and it has the examples.
FORMATS = ("features.reading.dicom", "features.reading.jpeg", "features.reading.png")
NAMES = [found.name for found in pkgutil.walk_packages(features.__path__, "features.")]
MODULES = [import_module(name) for name in NAMES if not name.startswith(FORMATS)]


def public_functions(module: ModuleType) -> list[str]:
    found = inspect.getmembers(module, inspect.isfunction)
    return [name for name, one in found if one.__module__ == module.__name__ and not name.startswith("_")]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_function_has_an_example_that_is_true(module: ModuleType) -> None:
    tests = {test.name.removeprefix(f"{module.__name__}."): test for test in doctest.DocTestFinder().find(module)}
    assert [name for name in public_functions(module) if not tests[name].examples] == []
    output: list[str] = []
    for test in tests.values():
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert output == []
