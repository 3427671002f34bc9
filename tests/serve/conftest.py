"""A registry with small models that are really fitted, on pictures that are generated."""

from pathlib import Path

import pytest

from registry.settings import Settings
from serve.production.model import Holder, Served
from tests.serve.support.models import GeneratedXrays, Registry, served


@pytest.fixture(scope="session")
def training_set() -> GeneratedXrays:
    return GeneratedXrays.generated(patients=24)


@pytest.fixture(scope="session")
def registry_template(tmp_path_factory: pytest.TempPathFactory, training_set: GeneratedXrays) -> Registry:
    """One registry with three sound versions, for tests that only read it or move its alias."""
    return Registry.of_three(tmp_path_factory.mktemp("registry"), training_set)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", state_uri=str(tmp_path / "state"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, training_set: GeneratedXrays) -> Served:
    return served(training_set, tmp_path_factory.mktemp("model") / "bundle", version=7)


@pytest.fixture
def holder(model: Served) -> Holder:
    return Holder(served=model)


@pytest.fixture
def xray(training_set: GeneratedXrays) -> bytes:
    return training_set.images[1]
