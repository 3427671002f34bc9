"""What a family of descriptors is: its parameters, and of each of its numbers the name, the place and the value."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from features.normalise import Normalised


@dataclass(frozen=True, kw_only=True)
class FeatureFamily(ABC):
    """The parameters of one family, as the fields of a frozen dataclass.

    To add a family, write a module with a subclass beside this one and list the class in `features.spec.FAMILIES`.

    Attributes
    ----------
    key
        What the family is called in the JSON of a spec. It never changes: models on disk carry it.
    """

    key: ClassVar[str]

    @abstractmethod
    def names(self, side: int) -> tuple[str, ...]:
        """One unique name for each number, in order, for square pictures of ``side`` pixels."""

    @abstractmethod
    def places(self, side: int) -> np.ndarray:
        """float64 (len(names), 4): where each number was measured, as top, left, bottom and right.

        They are shares, 0 to 1, of the sides of the square that the family sees. A row of NaN stands for a number
        of the whole square.
        """

    @abstractmethod
    def compute(self, pictures: Normalised) -> np.ndarray:
        """float32 (len(names),), always finite: the numbers themselves."""


def grid_places(cells: int) -> np.ndarray:
    """float64 (cells², 4): the places of an even grid of so many cells a side, row by row.

    >>> grid_places(2)
    array([[0. , 0. , 0.5, 0.5],
           [0. , 0.5, 0.5, 1. ],
           [0.5, 0. , 1. , 0.5],
           [0.5, 0.5, 1. , 1. ]])
    """
    down, right = np.divmod(np.arange(cells * cells), cells)
    return np.column_stack([down, right, down + 1, right + 1]) / cells
