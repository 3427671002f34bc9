"""Bring a dataset from Kaggle to this machine, through ``kagglehub`` and its cache."""

import re
from collections.abc import Callable

from ray_jobs.dataset.errors import SourceError

_HANDLE = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+(/versions/\d+)?")
_EXAMPLE = "kaggle:paultimothymooney/chest-xray-pneumonia"


def download(handle: str, *, fetch: Callable[[str], str] | None = None) -> str:
    """The local folder of the dataset ``owner/name`` or ``owner/name/versions/N``.

    The latter is not looked up on the network once it stands in the cache (``KAGGLEHUB_CACHE``). ``fetch`` is
    ``kagglehub.dataset_download`` unless a test gives another.

    Raises
    ------
    SourceError
        The handle is malformed, or the download fails.
    """
    if not _HANDLE.fullmatch(handle):
        raise SourceError(f"DATA_URI 'kaggle:{handle}' is not kaggle:owner/name; an example is {_EXAMPLE}")
    try:
        return (fetch or _kagglehub())(handle)
    except SourceError:
        raise
    except Exception as error:  # kagglehub documents none; whatever it is, the remedies are these.
        raise SourceError(
            f"the Kaggle dataset {handle!r} cannot be downloaded: {type(error).__name__}: {_first_line(error)}. "
            "Check the name and the network; if Kaggle asks for an account, set KAGGLE_USERNAME and KAGGLE_KEY. "
            f"Offline, a copy in the cache is found as kaggle:{handle.partition('/versions')[0]}/versions/N, and an "
            "unpacked archive is taken as a folder"
        ) from error


def _kagglehub() -> Callable[[str], str]:
    try:
        import kagglehub  # noqa: PLC0415 - heavy, and only kaggle: needs it
    except ImportError as error:
        raise SourceError("kaggle: needs the package kagglehub, which is not installed; run `make setup`") from error
    return lambda handle: str(kagglehub.dataset_download(handle))


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or ["no reason given"])[0]
    return line if len(line) <= 160 else f"{line[:160]}…"
