"""The errors of the dataset; each message names the value, what is taken, and the remedy."""

from registry.errors import FixableError


class DatasetError(FixableError):
    """Base of everything that is wrong with a dataset."""


class SourceError(DatasetError):
    """The place that ``DATA_URI`` names cannot be used at all: unknown, missing, denied, unreachable or unlabelled."""


class EntryError(DatasetError):
    """One file of a usable source cannot be read; the others may be."""


class TooLittleData(DatasetError):
    """Too few pictures or patients of a class are left to train on or to judge by."""
