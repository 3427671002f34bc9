"""Rights of an ordinary user for tests that root runs, as in a container: permissions of files count for root too."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
_PASS_BY_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@contextmanager
def of_an_ordinary_user() -> Iterator[None]:
    """Let this thread do with files only what their permissions allow."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()  # the first of the six is in effect

    def call(name: str) -> None:
        if getattr(libc, name)(header, sets):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call("capget")
    before = sets[0]
    sets[0] &= ~_PASS_BY_PERMISSIONS
    call("capset")
    try:
        yield
    finally:
        sets[0] = before
        call("capset")
