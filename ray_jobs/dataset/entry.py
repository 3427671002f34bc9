"""What every source of pictures offers: a listing of entries, and the bytes of one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

_OF_SYSTEMS = {  # in lower case
    *("__macosx", "lost+found"),
    *("$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"),  # Windows
    *("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),  # network storage
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source.

    ``path`` is relative to the source, with ``/`` between its parts. ``size`` is in bytes, -1 where it is not known
    before the file is read. ``version`` changes whenever the content may have changed, so that an entry of the same
    path, size and version need not be hashed again. ``linked`` says that this is a link to a file that stands
    elsewhere: of the same content the file itself is used.
    """

    path: str
    size: int
    version: str
    linked: bool = False


@runtime_checkable
class Source(Protocol):
    """A place with pictures. Picklable and cheap to send: Ray workers read the pictures themselves."""

    @property
    def uri(self) -> str:
        """The canonical address: two sources of one address hold the same pictures."""
        ...

    @property
    def name(self) -> str:
        """The last folder of the address, which may be ``test`` or repeat itself one level below; often empty."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Every visible file, in no particular order, one at a time.

        Raises
        ------
        SourceError
            The place is missing, denied or unreachable.
        """
        ...

    def read(self, path: str) -> bytes:
        """The bytes of the entry ``path``.

        Raises
        ------
        EntryError
            This entry cannot be read.
        SourceError
            The whole source cannot be read, so that it would be wrong to blame the entry.
        """
        ...


def hidden(name: str) -> bool:
    """Whether a file or folder name is one that people do not see: dot files, and what systems add, such as a trash.

    >>> hidden(".DS_Store"), hidden("$Recycle.Bin"), hidden("NORMAL")
    (True, True, False)
    """
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS
