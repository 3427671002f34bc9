"""Open the place that ``DATA_URI`` names; each scheme has a module of its own."""

from typing import Literal

from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import SourceError
from ray_jobs.dataset.folder_source import FolderSource, missing_folder
from ray_jobs.dataset.kaggle_source import download
from ray_jobs.dataset.s3_source import S3Source
from ray_jobs.dataset.synthetic_source import SyntheticSource
from registry.addresses import local_path, shown

TAKEN = (
    "a folder (../xrays), s3://bucket/prefix, kaggle:owner/name (kaggle:paultimothymooney/chest-xray-pneumonia) "
    "or synthetic:COUNT (synthetic:600)"
)

Kind = Literal["generated", "bucket", "kaggle", "folder"]
_KINDS: dict[str, Kind] = {"synthetic": "generated", "s3": "bucket", "kaggle": "kaggle"}


def kind_of(uri: str) -> Kind:
    """Where the pictures of a canonical address come from; only generated ones are of no child."""
    return _KINDS.get(uri.partition(":")[0], "folder")


def open_source(uri: str) -> Source:
    """The source that ``uri`` names; what it holds is only looked at when its entries are asked for.

    ``kaggle:`` downloads the dataset here, or finds it in the cache of ``kagglehub``.

    Raises
    ------
    SourceError
        The scheme is unknown, the folder is missing, the count is out of range, or the download fails.
    """
    scheme, separator, rest = uri.strip().partition(":")
    if not uri.strip():
        raise SourceError(f"DATA_URI is empty; it takes {TAKEN}")
    if separator and scheme == "s3":
        return S3Source.from_uri(uri.strip())
    if separator and scheme == "kaggle":
        return FolderSource(uri=uri.strip(), root=download(rest))
    if separator and scheme == "synthetic":
        return SyntheticSource.from_count(rest)
    if separator and rest.startswith("//") and scheme != "file":
        raise SourceError(f"DATA_URI {shown(uri)!r}: scheme {scheme!r} is not known; it takes {TAKEN}")
    return _open_folder(uri.strip())


def _open_folder(address: str) -> FolderSource:
    try:
        folder = local_path(address)
    except ValueError as error:
        raise SourceError(f"DATA_URI {error}; it takes {TAKEN}") from error
    try:
        root = folder.resolve()
        found = root.is_dir()
    except (OSError, RuntimeError) as error:  # pathlib has a RuntimeError for a link that leads to itself
        why = getattr(error, "strerror", None) or error
        raise SourceError(f"the folder {str(folder)!r} of DATA_URI cannot be opened: {why}") from error
    if not found:
        raise SourceError(f"{missing_folder(str(folder))}; DATA_URI takes {TAKEN}")
    return FolderSource(uri=str(root), root=str(root))
