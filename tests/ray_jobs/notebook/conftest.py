"""The dataset of which the notebook shows something."""

from pathlib import Path

import pytest

from notebooks.render import write_dataset
from ray_jobs.feature_table.prepare import Prepared, prepare
from registry.settings import Settings


@pytest.fixture
def prepared(settings: Settings, tmp_path: Path) -> Prepared:
    data = write_dataset(tmp_path / "xrays", 60)
    return prepare(settings.model_copy(update={"data_uri": str(data)}), minimum=None)
