"""Long listings: every key once, however they are distributed, and by several requests at once where they are many."""

import threading
from bisect import bisect_right

import pytest

from ray_jobs.dataset.key_ranges import all_pages, middle

FLAT = [f"NORMAL/IM-{number:04}-0001.jpeg" for number in range(900)]
FLAT += [f"PNEUMONIA/person{number}_bacteria_{number * 3}.jpeg" for number in range(2_100)]
LAYOUTS = {
    "two flat folders": FLAT,
    "a folder for each patient": [f"p{number % 20}/p{number}/s{number * 7}.dcm" for number in range(3_000)],
    "hashes": [f"{number * 2654435761 % 2**32:08x}.png" for number in range(3_000)],
    "names that differ at their end alone": ["x" * 1_000 + f"{number:05}" for number in range(3_000)],
    "names that begin with each other": ["a" * number for number in range(1, 600)],
    "names beyond ASCII": [f"criança/á{chr(0xE0 + number % 20)}{number}\U0001f601.png" for number in range(2_000)],
    "one": ["NORMAL/a.png"],
    "none": [],
}


class Bucket:
    """Keys in order, some of them a request, as S3 gives them."""

    def __init__(self, keys: list[str], size: int = 50) -> None:
        self.keys, self.size, self.asked, self.lock = sorted(keys), size, list[str](), threading.Lock()

    def page(self, after: str) -> tuple[list[str], bool]:
        """The keys after one."""
        with self.lock:
            self.asked.append(after)
        start = bisect_right(self.keys, after) if after else 0
        return self.keys[start : start + self.size], start + self.size < len(self.keys)


@pytest.mark.parametrize("requests", [1, 4, 16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_key_is_listed_once_however_the_keys_are_distributed(layout, requests):
    bucket = Bucket(LAYOUTS[layout])
    found = [key for keys in all_pages(bucket.page, str, requests=requests) for key in keys]
    assert sorted(found) == bucket.keys
    assert len(bucket.asked) == len(set(bucket.asked)), "nothing is asked twice"


def test_what_fits_into_one_page_is_one_request():
    bucket = Bucket(FLAT[:50])
    assert list(all_pages(bucket.page, str)) == [bucket.keys]
    assert bucket.asked == [""]


def test_two_requests_run_at_once_where_there_are_more_pages():
    bucket, together = Bucket(FLAT), threading.Barrier(2)

    def page(after: str) -> tuple[list[str], bool]:
        if len(bucket.asked) == 1:  # the second request waits for the third, and it for the second
            together.wait(30)
        return bucket.page(after)

    assert sum(map(len, all_pages(page, str, requests=2))) == len(FLAT)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in {"one", "none"}])
def test_pages_that_add_nothing_are_few_beside_those_of_a_listing_in_turn(layout):
    bucket = Bucket(LAYOUTS[layout], size=5)
    list(all_pages(bucket.page, str))
    assert len(bucket.asked) < 2 * len(bucket.keys) / 5 + 100


def test_what_a_request_raises_is_raised():
    def page(after: str) -> tuple[list[str], bool]:
        if after:
            raise ConnectionError("the bucket is gone")
        return ["a"], True

    with pytest.raises(ConnectionError, match="the bucket is gone"):
        list(all_pages(page, str))


@pytest.mark.parametrize(
    ("after", "until", "expected"),
    [
        ("a", "c", "b"),  # the one between
        ("a", "b", "aO"),  # none between, so a longer one: between "" and all
        ("ab", "b", "ap"),
        ("a", "a b", None),  # only what is below a space would be
        ("a~", "b", "a~O"),
        ("é", None, "éO"),  # beyond ASCII nothing is cut, behind it is
    ],
)
def test_the_middle_lies_between(after, until, expected):
    found = middle(after, until)
    assert found == expected
    assert found is None or (after < found and (until is None or found < until))
