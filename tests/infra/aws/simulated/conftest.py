"""A stack of each environment on a simulated AWS; `test_taken_down` comes last, and takes it down."""

from collections.abc import Iterator

import pytest

from tests.infra.support import simulation
from tests.infra.support.simulation import Simulated


@pytest.fixture(scope="package", params=["dev", "prod"])
def aws(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """The whole graph of an environment, up."""
    folder = tmp_path_factory.mktemp(request.param)
    with simulation.standing() as address:
        stack = Simulated(simulation.settings_of(request.param), address, folder)
        stack.record()
        stack.up()
        yield stack
