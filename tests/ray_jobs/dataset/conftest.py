"""Folders of tiny pictures."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


def png(seed: int) -> bytes:
    """A small valid picture that differs for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


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


def cohort(patients: int = 40, *, above: str = "", first: int = 1) -> dict[str, bytes]:
    """One picture each of ``patients`` patients a class, enough to train on and to judge by."""
    files = {}
    for number in range(first, first + patients):
        files[f"{above}NORMAL/IM-{number:04}-0001.png"] = png(2 * number)
        files[f"{above}PNEUMONIA/person{number}_virus_{number}.png"] = png(2 * number + 1)
    return files
