"""Reading ahead: results in order, only a few ahead, errors in their turn, and the listing that stays on disk."""

import os
import threading

import pytest

from ray_jobs.dataset.ahead import THREADS, ahead, read_ahead
from ray_jobs.dataset.entry import Entry
from ray_jobs.dataset.errors import EntryError, SourceError
from ray_jobs.dataset.listing import Listing


def test_results_come_in_order_whoever_is_first():
    second = threading.Event()

    def slow_first(number: int) -> int:
        if number == 0:
            assert second.wait(30)
        if number == 1:
            second.set()
        return number

    assert list(ahead(slow_first, range(50))) == list(range(50))


def test_no_more_is_begun_than_threads_before_somebody_takes_a_result():
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return number

    results = ahead(work, range(1_000))
    next(results)
    assert len(begun) <= THREADS
    assert list(results) == list(range(1, 1_000))


class Failing:
    """A source whose entries fail by their names."""

    uri, name = "failing:", ""

    def entries(self):
        raise NotImplementedError

    def read(self, path: str) -> bytes:
        if path == "gone":
            raise EntryError("gone")
        if path == "closed":
            raise SourceError("the whole source is closed")
        return path.encode()


def test_an_entry_that_cannot_be_read_is_told_in_its_place_and_a_source_that_fails_stops_all():
    found = list(read_ahead(Failing(), ["a", "gone", "b"]))
    assert (found[0], found[2]) == (b"a", b"b")
    assert isinstance(found[1], EntryError)
    with pytest.raises(SourceError, match="closed"):
        list(read_ahead(Failing(), ["a", "closed", "b"]))


def test_a_listing_is_in_the_order_of_names_even_of_names_that_are_no_text():
    names = ["b/ü.png", "a.png", os.fsdecode(b"b\xff.png"), "B.png", "b/\U0001f601.png", "b/\ufffd.png"]

    class Some(Failing):
        def entries(self):
            return (Entry(path=name, size=len(name), version=str(len(name))) for name in names)

    listing = Listing(Some())
    assert len(listing) == len(names)
    assert list(listing) == [Entry(path=name, size=len(name), version=str(len(name))) for name in sorted(names)]
    assert list(listing.batches(4)) == [tuple(sorted(names)[:4]), tuple(sorted(names)[4:])]
