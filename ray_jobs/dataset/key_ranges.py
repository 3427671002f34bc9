"""A long listing that is given page after page in the order of keys, taken by several requests at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")

REQUESTS = 16  # at once: of 0.15 s a page of 1,000 keys, a million keys take 10 to 20 s
_FIRST, _END = " ", "\x7f"  # the characters of ASCII between which a range is cut


def all_pages(
    page: Callable[[str], tuple[Sequence[Item], bool]], key: Callable[[Item], str], *, requests: int = REQUESTS
) -> Iterator[list[Item]]:
    """All items of a listing, each once, some at a time and in no particular order of pages.

    ``page(after)`` gives the items whose keys come after a key, in the order of keys, as many as one request gives, and
    whether there are more. Where there are more, the keys that are left are cut into two ranges, until as many requests
    run as may. Nobody has to know how the keys are distributed: a range that turns out to be empty frees its request,
    and the next page cuts again, closer. What a request raises is raised.
    """
    with ThreadPoolExecutor(requests) as pool:
        running: dict[Future[tuple[Sequence[Item], bool]], str | None] = {pool.submit(page, ""): None}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                until = running.pop(future)
                items, more = future.result()
                inside = [item for item in items if until is None or key(item) <= until]
                if more and inside and len(inside) == len(items) and key(inside[-1]) != until:
                    last = key(inside[-1])
                    if len(running) + 1 < requests and (cut := middle(last, until)) is not None:
                        running[pool.submit(page, cut)] = until
                        until = cut
                    running[pool.submit(page, last)] = until
                if inside:
                    yield inside


def middle(after: str, until: str | None) -> str | None:
    """A key between two, near the middle of them in ASCII; None where there is none. Without ``until``, all may follow.

    >>> middle("train/a", "train/k"), middle("a7", "b"), middle("a", None)
    ('train/f', 'a[', 'p')
    """
    shared = 0
    while until is not None and shared < len(after) and after[shared] == until[shared]:
        shared += 1
    for place in range(shared, len(after) + 1):
        low = ord(after[place]) if place < len(after) else ord(_FIRST) - 1
        high = min(ord(until[place]), ord(_END)) if until is not None and place == shared else ord(_END)
        if high - low > 1:
            return after[:place] + chr((low + high) // 2)
    return None
