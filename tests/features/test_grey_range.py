"""The range of greys where a file gives none: hand-computed."""

import numpy as np
import pytest

from features.reading.grey_range import robust_range

EVEN = np.arange(100, 201, dtype=np.float64)


@pytest.mark.parametrize(
    ("values", "counts", "expected"),
    [
        (EVEN, np.ones(101), (100, 200)),
        (EVEN[::-1], np.ones(101), (100, 200)),
        ([7], [5], (7, 7)),
        ([0, 255], [500, 500], (0, 255)),  # a mask has no lone end
        ([-1e6, *EVEN], [900, *np.ones(101)], (100, 200)),
        ([*EVEN, 1e6], [*np.ones(101), 900], (100, 200)),
        ([-1e6, *EVEN, 1e6], [900, *np.ones(101), 900], (100, 200)),
        ([49, *EVEN], [900, *np.ones(101)], (100, 200)),  # its gap of 51 is more than half of 100
        ([51, *EVEN], [900, *np.ones(101)], (51, 200)),
        ([-9001, -9000, *EVEN], [900, 90, *np.ones(101)], (100, 200)),
        ([*EVEN, 7000, 9000, 9001], [*np.ones(101), 900, 90, 900], (100, 200)),
        ([-9002, -9000, *EVEN, 65534, 65535], [900, 90, *np.ones(101), 90, 900], (100, 200)),
        ([*np.arange(-9009, -9000), *EVEN], np.full(110, 90), (100, 200)),
        ([*np.arange(-9020, -9000), *EVEN], np.full(121, 90), (-9020, 200)),  # too many to be none of the picture
    ],
)
def test_far_ends_do_not_count(values: list[float], counts: list[float], expected: tuple[float, float]) -> None:
    assert robust_range(np.asarray(values, dtype=np.float64), np.asarray(counts)) == expected


def test_few_pixels_far_off_count_as_far_as_twice_the_span_of_the_others() -> None:
    values = np.array([*EVEN, *np.linspace(900, 1200, 12)])
    counts = np.array([*np.full(101, 1000), *np.ones(12, dtype=int)])
    assert robust_range(values, counts) == (100, 200 + 2 * 100)
