"""Features of a dataset in memory, and the sides that they are split into by patient."""

from dataclasses import dataclass, fields

import numpy as np

from ray_jobs.dataset.split import sides


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Features of a dataset in memory, and of each row, (N,), its image's sha256, label (0 or 1), patient and role.

    `features` is float32 (N, D); `views`, float32 (N, V, D), are the same images jittered, for training only, and
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


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The rows to train on, the rows of held-out patients that judge, and those of `test/`, which are only reported."""

    train: FeatureTable
    held_out: FeatureTable
    test: FeatureTable

    @classmethod
    def of(cls, table: FeatureTable) -> "Sides":
        """Split a table so that no patient is on two sides."""
        side = sides(table.roles, table.patients)
        return cls(
            train=table.only(side == "train"), held_out=table.only(side == "held-out"), test=table.only(side == "test")
        )
