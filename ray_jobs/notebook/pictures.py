"""A look at a dataset before anything is trained on it: counts, pictures of both classes, sizes, what is left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.reading.decode import decode
from features.reading.errors import ImageError
from ray_jobs.dataset.ahead import ahead
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.layout import LABELS
from ray_jobs.dataset.manifest import Manifest
from ray_jobs.dataset.quarantine import read_quarantine
from ray_jobs.dataset.split import sides
from ray_jobs.feature_table.prepare import Prepared

_SIDE = 224  # pixels, of a picture as it is shown
_THREADS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedPicture:
    """A file of a dataset as it is decoded: `pixels` are 2-D."""

    path: str
    label: str
    pixels: np.ndarray


def counts(manifest: Manifest) -> pd.DataFrame:
    """X-rays and patients of each class, by side: `test` is only reported, `held-out` judges."""
    return pd.DataFrame(
        {
            (what, label): {side: numbers[label] for side, numbers in counted.items()}
            for what, counted in (("X-rays", manifest.pictures), ("patients", manifest.patients))
            for label in LABELS
        }
    )


def quarantined(manifest: Manifest) -> pd.DataFrame:
    """Every file that is left out, and why."""
    return read_quarantine(manifest).select(["reason", "path", "detail"]).to_pandas()


def listed(manifest: Manifest, side: str = "") -> pd.DataFrame:
    """Path and label of every X-ray that is used, or of one side, in the order of their paths."""
    rows = manifest.table("path", "label", "patient", "role").to_pandas()
    found = rows[sides(rows["role"], rows["patient"]) == side] if side else rows
    return found[["path", "label"]].sort_values("path", ignore_index=True)


def sample(prepared: Prepared, *, each: int) -> list[DecodedPicture]:
    """Up to so many pictures of each class, evenly over its paths; what cannot be decoded is left out."""
    rows = listed(prepared.manifest)
    chosen = [
        (path, label)
        for label in LABELS
        for paths in [rows.loc[rows["label"] == label, "path"].tolist()]
        for path in [paths[at] for at in sorted({int(at) for at in np.linspace(0, len(paths) - 1, each)})]
    ]
    found = ahead(lambda one: _decoded(prepared, *one), chosen, threads=_THREADS)
    return [picture for picture in found if picture]


def _decoded(prepared: Prepared, path: str, label: str) -> DecodedPicture | None:
    try:
        return DecodedPicture(path=path, label=label, pixels=decode(prepared.source.read(path)))
    except (ImageError, EntryError):
        return None


def pictures_figure(pictures: Sequence[DecodedPicture]) -> Figure:
    """The pictures, a row for each class."""
    rows = [[one for one in pictures if one.label == label] for label in LABELS]
    across = max(map(len, rows))
    figure = Figure(figsize=(1.8 * across, 4.2), layout="constrained")
    for number, row in enumerate(rows):
        for place, picture in enumerate(row):
            axes = figure.add_subplot(len(rows), across, number * across + place + 1)
            show(axes, picture.pixels, f"{picture.label}\n{picture.pixels.shape[1]} × {picture.pixels.shape[0]}")
    return figure


def sizes_figure(pictures: Sequence[DecodedPicture]) -> Figure:
    """Width against height: classes that differ here tempt a model to tell them by their frames."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for label, marker in zip(LABELS, "o^", strict=True):
        shapes = np.array([one.pixels.shape for one in pictures if one.label == label]).reshape(-1, 2)
        axes.plot(shapes[:, 1], shapes[:, 0], marker, alpha=0.6, label=f"{label}, {len(shapes)} pictures")
    axes.set(xlabel="width in pixels", ylabel="height in pixels", title="Sizes")
    axes.legend()
    return figure


def show(axes: Axes, pixels: np.ndarray, title: str) -> None:
    """A grey picture (H, W) or one in colour (H, W, 3), small, under a title."""
    scale = _SIDE / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    axes.imshow(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cmap="gray")
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()
