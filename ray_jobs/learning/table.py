"""Features of a dataset, in memory or read piece by piece, and the sides that they are split into by patient."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np

from ray_jobs.dataset.split import sides

Ask = Callable[["FeatureTable"], np.ndarray]
"""What answers about the rows of a table, of shape (N, …)."""


class Pieces(Protocol):
    """Stored features, which are read piece by piece."""

    def __call__(self, places: np.ndarray) -> "Iterator[FeatureTable]":
        """The rows at some places, ascending (N,), in their order."""
        ...

    def answers(self, places: np.ndarray, ask: Ask) -> Iterator[np.ndarray]:
        """What `ask` answers about each piece of them, in their order; it may be asked in another process."""
        ...


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Features of a dataset in memory, and of each row, (N,), its image's sha256, label (0 or 1), patient and role.

    `features` is float32 (N, D); `views`, float32 (N, V, D), are the same images as views for training only, and
    `judged`, float32 (N, J, D), as another place might have taken them, to judge models by.
    """

    features: np.ndarray
    views: np.ndarray
    judged: np.ndarray
    sha256: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    roles: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, rows: np.ndarray) -> "FeatureTable":
        """The rows that a mask (N,) chooses."""
        return FeatureTable(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def read(self) -> "FeatureTable":
        """All of it in memory, as it is already."""
        return self

    def each(self, ask: Ask) -> np.ndarray:
        """What `ask` answers about the rows, (N, …)."""
        return ask(self)


@dataclass(frozen=True, kw_only=True)
class StoredFeatures:
    """X-rays whose features are read piece by piece: of each row, (N,), sha256, label (0 or 1), patient and role.

    `places` (N,) are their rows in the manifest, in its order, and `pieces` reads features of such rows.
    """

    sha256: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    roles: np.ndarray
    places: np.ndarray
    pieces: Pieces

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, rows: np.ndarray) -> "StoredFeatures":
        """The rows that a mask (N,) chooses."""
        chosen = {name: getattr(self, name)[rows] for name in ("sha256", "labels", "patients", "roles", "places")}
        return replace(self, **chosen)

    def read(self) -> FeatureTable:
        """All of it in memory; the matrix is made once and filled piece by piece, so that it is there only once."""
        matrices: dict[str, np.ndarray] = {}
        columns: dict[str, list[np.ndarray]] = {"sha256": [], "labels": [], "patients": [], "roles": []}
        start = 0
        for piece in self.pieces(self.places):
            for name in ("features", "views", "judged"):
                part = getattr(piece, name)
                if name not in matrices:
                    matrices[name] = np.empty((len(self), *part.shape[1:]), part.dtype)
                matrices[name][start : start + len(piece)] = part
            for name, parts in columns.items():
                parts.append(getattr(piece, name))
            start += len(piece)
        return FeatureTable(**matrices, **{name: np.concatenate(parts) for name, parts in columns.items()})

    def each(self, ask: Ask) -> np.ndarray:
        """What `ask` answers about the rows, (N, …), piece by piece; only a few are in memory."""
        return np.concatenate(list(self.pieces.answers(self.places, ask)))


Rows = FeatureTable | StoredFeatures


class LeftOut(Protocol):
    """What is on the training side of a dataset, and not in the sample that models are fitted on."""

    def __len__(self) -> int: ...

    def among(self, sha256: np.ndarray) -> np.ndarray:
        """Bool (M,): which of some X-rays are on the training side, in the sample or not."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The rows to train on, the rows of held-out patients that judge, and those of `test/`, which are only reported.

    Where models are fitted on a sample, `train` is the sample, and `left_out` the rest of its side.
    """

    train: Rows
    held_out: Rows
    test: Rows
    left_out: LeftOut | None = None

    def to_train(self, sha256: np.ndarray) -> np.ndarray:
        """Bool (M,): which of some X-rays are on the training side, fitted on or not."""
        return self.left_out.among(sha256) if self.left_out else np.isin(sha256, self.train.sha256)

    @classmethod
    def of(cls, table: FeatureTable) -> "Sides":
        """Split a table so that no patient is on two sides."""
        side = sides(table.roles, table.patients)
        return cls(
            train=table.only(side == "train"), held_out=table.only(side == "held-out"), test=table.only(side == "test")
        )
