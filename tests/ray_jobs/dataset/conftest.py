"""Folders of tiny pictures."""

import cv2
import numpy as np


def png(seed: int) -> bytes:
    """A small valid picture that differs for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def cohort(patients: int = 40, *, above: str = "", first: int = 1) -> dict[str, bytes]:
    """One picture each of ``patients`` patients a class, enough to train on and to judge by."""
    files = {}
    for number in range(first, first + patients):
        files[f"{above}NORMAL/IM-{number:04}-0001.png"] = png(2 * number)
        files[f"{above}PNEUMONIA/person{number}_virus_{number}.png"] = png(2 * number + 1)
    return files
