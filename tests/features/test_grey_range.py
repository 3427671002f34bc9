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
    ],
)
def test_lone_ends_do_not_count(values: list[float], counts: list[float], expected: tuple[float, float]) -> None:
    assert robust_range(np.asarray(values, dtype=np.float64), np.asarray(counts)) == expected


def test_few_values_far_off_count_as_far_as_twice_the_span_of_the_others() -> None:
    values = np.array([*EVEN, 900.0, 950.0, 1000.0, 1200.0])
    counts = np.array([*np.full(101, 1000), 1, 1, 1, 1])
    assert robust_range(values, counts) == (100, 200 + 2 * 100)
