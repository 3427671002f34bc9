"""The last verified model on disk, with the record of which version it is, for a start while the registry is away."""

import json
import logging
import shutil
from dataclasses import asdict
from datetime import datetime
from io import BytesIO
from pathlib import Path

from filelock import FileLock
from pyarrow.fs import LocalFileSystem

from registry.errors import ArtefactError
from registry.model.bundle import Bundle, read_bundle
from registry.model.versions import ModelVersion, check, fetch
from registry.settings import Settings
from registry.state import local_folder, write_atomically

log = logging.getLogger(__name__)

_RECORD = "verified.json"
_LOCK_TIMEOUT_S = 120.0


def cache_folder(settings: Settings) -> Path:
    """Where verified models are kept: below a local `STATE_URI`, or `.local/` where the state is in a bucket."""
    return local_folder(settings.state_uri) / "serve"


class VerifiedCache:
    """Fetched models in a folder, one sub-folder a version and digest, and a record of the newest verified one.

    Replicas on one machine share the folder; a lock lets one of them fetch while the others wait for its copy.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder

    def obtain(self, version: ModelVersion) -> Bundle:
        """A version's verified bundle, from disk where a sound copy is there, else from the registry; then recorded.

        Raises
        ------
        ArtefactError
            If the version's files are not what was registered.
        MlflowException, OSError
            If the store cannot be reached.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "lock", timeout=_LOCK_TIMEOUT_S):
            place = self._place(version)
            bundle = self._read_sound(place, version) or fetch(self._settings, version, place)
            self._record(version)
            self._forget_others(place)
        return bundle

    def recall(self) -> tuple[ModelVersion, Bundle] | None:
        """The last verified version and its bundle, verified again; None where there is no sound copy of this model."""
        try:
            fields = json.loads((self._folder / _RECORD).read_text())
            version = ModelVersion(**{**fields, "created": datetime.fromisoformat(fields["created"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("The record of the last verified model cannot be read (%r); it is ignored.", error)
            return None
        if version.name != self._settings.model_name:
            return None
        bundle = self._read_sound(self._place(version), version)
        return (version, bundle) if bundle else None

    def _place(self, version: ModelVersion) -> Path:
        return self._folder / f"{version.name}-{version.version}-{version.digest[:16]}"

    def _read_sound(self, place: Path, version: ModelVersion) -> Bundle | None:
        if not place.is_dir():
            return None
        try:
            check(self._settings, version)
            return read_bundle(place, digest=version.digest)
        except (ArtefactError, OSError) as error:
            log.warning("The copy of %s on disk is not used: %s", version, error)
            return None

    def _record(self, version: ModelVersion) -> None:
        fields = {**asdict(version), "created": version.created.isoformat()}
        content = BytesIO(json.dumps(fields, indent=1).encode())
        write_atomically(LocalFileSystem(), str(self._folder / _RECORD), content)

    def _forget_others(self, kept: Path) -> None:
        """Remove the copies of other versions; a bundle that is loaded no longer needs its files."""
        for place in self._folder.iterdir():
            if place.is_dir() and place != kept:
                shutil.rmtree(place, ignore_errors=True)
