"""A registry in which serving follows Production."""

import pytest

from tests.serve.support.models import Registry


@pytest.fixture
def registry(registry_template: Registry) -> Registry:
    """Version 1 in Production."""
    registry_template.promote(registry_template.versions[0])
    return registry_template
