"""Datasets on disk, a model, and one Ray for all tests of a module."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.sources import open_source
from registry.model.bundle import Bundle


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


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write files, given as path=bytes, below a folder named ``xrays``; returns that folder."""

    def written(files: dict[str, bytes], folder: str = "xrays") -> Path:
        for path, data in files.items():
            target = tmp_path / folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return tmp_path / folder

    return written


@pytest.fixture
def bundle(fitted, detector) -> Bundle:
    return Bundle(estimator=fitted, spec=DEFAULT_SPEC, threshold=0.5, detector=detector, evaluation={}, golden=())
