"""Datasets on disk, and one Ray for all tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from ray_jobs.dataset.sources import open_source


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of two workers."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module", autouse=True)
def _no_ray_left_behind() -> Iterator[None]:
    """End the Ray that a module's jobs started, so that the tests of serving can start theirs."""
    yield
    ray.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of 60 generated X-rays in NORMAL/ and PNEUMONIA/."""
    root = tmp_path / "xrays"
    source = open_source("synthetic:60")
    for entry in source.entries():
        path = root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read(entry.path))
    return root
