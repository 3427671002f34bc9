"""What can go wrong that a person can fix; each message names the thing, what is wrong with it, and the remedy."""

from typing import ClassVar


class FixableError(Exception):
    """Base of every error that a person can fix: a job prints its message without a traceback and ends with a code."""

    exit_code: ClassVar[int] = 1


class UsageError(FixableError):
    """What the command line asks for cannot be done; as for any wrong argument, the exit code is 2."""

    exit_code = 2


class ArtefactError(FixableError):
    """The files are not a model that this project wrote; the message says which file and how."""


class NoSuchVersionError(FixableError):
    """A version that was asked for is not in the registry, or nothing is in Production."""


class PromotionError(FixableError):
    """Production cannot be changed as asked; the message says why."""


class ProductionMovedError(PromotionError):
    """Somebody changed Production while a candidate was being judged against what was there."""


class HistoryError(FixableError):
    """The history of Production does not say what serves: records are lost, changed, or newer than MLflow's."""
