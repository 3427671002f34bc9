"""What stands in the files of images, layer by layer, as `docker save` writes them."""

import gzip
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

_CHUNK = 8 * 2**20
_GZIP = b"\x1f\x8b"


def found_in(saved: IO[bytes], values: Iterable[bytes]) -> Iterator[str]:
    """The entries of a saved image, layers and its own description, that have one of the values anywhere in them.

    A layer is an archive in which files stand as they are, so that it need not be unpacked unless it is compressed.
    """
    texts = sorted(set(values), key=len)
    pattern, overlap = re.compile(b"|".join(map(re.escape, texts))), len(texts[-1])
    with tarfile.open(fileobj=saved, mode="r|") as archive:
        for member in archive:
            # A layer that stands twice is a link to where it was read already.
            if not member.isfile() or (entry := archive.extractfile(member)) is None:
                continue
            head = entry.read(len(_GZIP))
            content: IO[bytes] = _Joined(head, entry)
            if head == _GZIP:
                content = gzip.GzipFile(fileobj=content)
            if _contains(content, pattern, overlap):
                yield member.name


def _contains(content: IO[bytes], pattern: re.Pattern[bytes], overlap: int) -> bool:
    last = b""
    while chunk := content.read(_CHUNK):
        if pattern.search(last + chunk):
            return True
        last = chunk[-overlap:]
    return False


class _Joined(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head or self._rest.read(size)
