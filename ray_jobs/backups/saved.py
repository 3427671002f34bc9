"""What a backup says of itself: its parts and the digest of every file, in one document that carries its own digest."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from registry.errors import FixableError

DATABASE, ARTEFACTS, STATE = "database", "artefacts", "state"


class BackupError(FixableError):
    """A backup cannot be made, or is not whole; the message says which file and what to do."""


@dataclass(frozen=True, kw_only=True)
class SavedFile:
    """A file of a part by its path below the part's home: size in bytes, SHA-256, and when it was changed, in ns.

    `mode` has its permissions; None where the home is a bucket.
    """

    path: str
    size: int
    sha256: str
    modified: int
    mode: int | None = None


@dataclass(frozen=True, kw_only=True)
class SavedPart:
    """One of the things that a system keeps: `home` is the address that it had."""

    name: str
    home: str
    files: tuple[SavedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A complete backup; the names of backups sort by time."""

    name: str
    created: str
    parts: tuple[SavedPart, ...]

    def part(self, name: str) -> SavedPart | None:
        """The part of a name, if there is one."""
        return next((part for part in self.parts if part.name == name), None)

    def __str__(self) -> str:
        parts = ", ".join(f"{part.name} {len(part.files)} files {part.size / 1e6:.1f} MB" for part in self.parts)
        return f"{self.name}  {parts}"


def to_text(backup: Backup) -> str:
    """The document of a backup."""
    body = json.dumps(asdict(backup), sort_keys=True)
    return json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "backup": json.loads(body)}, indent=1)


def from_text(text: str, *, where: str) -> Backup:
    """Read a document; raises BackupError where it is not whole."""
    try:
        document: dict[str, Any] = json.loads(text)
        expected, body = document["sha256"], document["backup"]
        found = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if expected != found:
            raise BackupError(f"{where} was changed or cut short: its digest is {found[:12]}, not {expected[:12]}")
        parts = tuple(
            SavedPart(**{**part, "files": tuple(SavedFile(**file) for file in part["files"])}) for part in body["parts"]
        )
        return Backup(**{**body, "parts": parts})
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{where} is no backup of this project ({type(error).__name__}); use another one") from None
